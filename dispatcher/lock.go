package dispatcher

import "sync"

// libxdpLock is held around every call of libxdp. libxdp caches the bpffs
// directory and its check of the kernel in static variables without a lock of
// its own, and the log hooks that record what a call said are global.
var libxdpLock sync.Mutex
