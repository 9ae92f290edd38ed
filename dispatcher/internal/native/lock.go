package native

import "sync"

// Lock is held around every call of libxdp, which caches the bpffs directory and
// its check of the kernel in static variables without a lock of its own. libxdp takes the
// lock on the pins in some of its calls: who has that one must not wait for this.
var Lock sync.Mutex
