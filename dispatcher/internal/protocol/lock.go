package protocol

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/xdpmux/xdpmux/dispatcher/internal/flock"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// LockPins opens libxdp's directory with the lock of the protocol on the pins of all chains,
// which goes with close. While others hold it, it waits as long as ctx lasts. The errors are
// those of OpenPinRoot, and [xdp.ErrBusy].
func LockPins(ctx context.Context) (*PinRoot, error) {
	root, err := OpenPinRoot()
	if err != nil {
		return nil, err
	}
	err = flock.Lock(ctx, root.fd)
	switch {
	case err == nil:
		return root, nil
	case ctx.Err() != nil:
		err = &xdp.Error{Kind: xdp.ErrBusy, Err: ctx.Err(),
			Msg:    fmt.Sprintf("%s has locked the pins in %s", cmp.Or(flock.Holder(root.fd), "another process"), PinRootDir()),
			Remedy: "wait until it has finished, or end it if it hangs"}
	default:
		err = &xdp.Error{Kind: xdp.ErrSystem, Err: err, Msg: fmt.Sprintf("can't lock %s: %v", PinRootDir(), err)}
	}
	root.Close()
	return nil, err
}

// WaitForPins waits, as long as ctx lasts, until nobody holds the lock on the pins: libxdp's
// own waits for that have no end, and keep all others from calling libxdp.
func WaitForPins(ctx context.Context) error {
	root, err := LockPins(ctx)
	root.Close()
	if errors.Is(err, xdp.ErrBusy) {
		return err
	}
	return nil // libxdp has the word
}
