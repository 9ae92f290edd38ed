package native

import "sync"

// Lock is held around every call of libxdp. libxdp caches the bpffs directory and its check of
// the kernel in static variables, and has no lock of its own. Some of its calls take the lock
// on the pins: who holds that one must not wait for this.
var Lock sync.Mutex
