package protocol

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/xdpmux/xdpmux/dispatcher/internal/flock"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// LockPins opens libxdp's directory and takes the protocol's lock on the pins of all chains.
// Close lets go of it. While others hold the lock, LockPins waits as long as ctx lasts. The
// errors are those of OpenPinRoot, and [xdp.ErrBusy].
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

// WaitForPins waits, as long as ctx lasts, until nobody holds the lock on the pins. libxdp
// waits for that lock itself, but without an end, and nobody else can call libxdp meanwhile.
func WaitForPins(ctx context.Context) error {
	root, err := LockPins(ctx)
	root.Close()
	if errors.Is(err, xdp.ErrBusy) {
		return err
	}
	return nil // of any other fault libxdp will tell
}
