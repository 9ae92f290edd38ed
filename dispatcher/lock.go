package dispatcher

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// libxdpLock is held around every call of libxdp. libxdp caches the bpffs
// directory and its check of the kernel in static variables without a lock of
// its own, and the log hooks that record what a call said are global.
var libxdpLock sync.Mutex

// lockPins opens libxdp's directory with the lock of the protocol on the pins of all chains,
// which goes with close. As libxdp does, it waits for as long as another holds it. The
// errors are those of openPinRoot.
func lockPins() (*pinRoot, error) {
	root, err := openPinRoot()
	if err != nil {
		return nil, err
	}
	if err := retryInterrupted(func() error { return unix.Flock(root.fd, unix.LOCK_EX) }); err != nil {
		root.close()
		return nil, &Error{Kind: ErrSystem, Err: err, Msg: fmt.Sprintf("can't lock %s: %v", pinRootDir(), err)}
	}
	return root, nil
}

func retryInterrupted(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}
