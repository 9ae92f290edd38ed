package dispatcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/xdpmux/xdpmux/dispatcher/internal/flock"
)

// libxdpLock is held around every call of libxdp, which caches the bpffs directory and
// its check of the kernel in static variables without a lock of its own. libxdp takes the
// lock on the pins in some of its calls: who has that one must not wait for this.
var libxdpLock sync.Mutex

// byLibxdp has libxdp change what is on an interface, and returns what it said.
func byLibxdp(l link, f func() error) (said []string, err error) {
	libxdpLock.Lock()
	defer libxdpLock.Unlock()
	return recorded(func() error {
		if _, err := l.again(); err != nil {
			return err
		}
		return f()
	})
}

// lockPins opens libxdp's directory with the lock of the protocol on the pins of all chains,
// which goes with close. While others hold it, it waits as long as ctx lasts. The errors are
// those of openPinRoot, and [ErrBusy].
func lockPins(ctx context.Context) (*pinRoot, error) {
	root, err := openPinRoot()
	if err != nil {
		return nil, err
	}
	err = flock.Lock(ctx, root.fd)
	switch {
	case err == nil:
		return root, nil
	case ctx.Err() != nil:
		err = &Error{Kind: ErrBusy, Err: ctx.Err(),
			Msg:    fmt.Sprintf("%s has locked the pins in %s", cmp.Or(flock.Holder(root.fd), "another process"), pinRootDir()),
			Remedy: "wait until it has finished, or end it if it hangs"}
	default:
		err = &Error{Kind: ErrSystem, Err: err, Msg: fmt.Sprintf("can't lock %s: %v", pinRootDir(), err)}
	}
	root.close()
	return nil, err
}

// waitForPins waits, as long as ctx lasts, until nobody holds the lock on the pins: libxdp's
// own waits for that have no end, and keep all others from calling libxdp.
func waitForPins(ctx context.Context) error {
	root, err := lockPins(ctx)
	root.close()
	if errors.Is(err, ErrBusy) {
		return err
	}
	return nil // libxdp has the word
}
