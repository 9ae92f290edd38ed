package dispatcher

import (
	"errors"
	"fmt"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// NativeVersion is the version of the dispatchers that the native tools of this host write:
// that of the libxdp that is installed; 0: none is. A new chain gets the same version, or of
// 2 and 3, which xdpmux writes, the nearest; without a libxdp it gets 2. Errors:
// [xdp.ErrInvalid], where LIBXDP_OBJECT_PATH names a directory without a dispatcher.
func NativeVersion() (int, error) { return protocol.HostVersion() }

// CheckNative says what keeps native tools that write dispatchers of that version from
// working with the chain; nil: nothing does. Errors: [xdp.ErrVersion].
func (c *Chain) CheckNative(version int) error {
	if c.Dispatcher == nil || version == 0 || version == c.Version {
		return nil
	}
	e := &xdp.Error{Kind: xdp.ErrVersion,
		Msg: fmt.Sprintf("the native tools of this host can show and unload the chain on %s, and not change it: its dispatcher has version %d, and theirs version %d",
			c.Interface.Name, c.Version, version)}
	if c.Version > version {
		e.Msg = fmt.Sprintf("the native tools of this host can't read the chain on %s: its dispatcher has version %d, and they know no newer one than %d",
			c.Interface.Name, c.Version, version)
	}
	what := "share"
	if c.DeviceBound {
		what = "show"
	}
	if protocol.Writes(version) {
		e.Advise("to have them "+what+" it: %v", xdp.Hint{To: xdp.HintUpgrade, Interface: c.Interface.Name})
	}
	return e
}

// nativeLock is the error of a change that locks native tools out. err says why libxdp's
// dispatcher can't host the programs; nil: the chain was locked before.
func nativeLock(l device.Device, err error) error {
	reason := "a program in it changes packet data"
	var e *xdp.Error
	if errors.As(err, &e) {
		reason = e.Msg
	}
	return &xdp.Error{Kind: xdp.ErrNativeLocked,
		Msg:    fmt.Sprintf("tools of libxdp before 1.5.5 can't change the chain on %s with it any more: %s", l.Name, reason),
		Remedy: "xdpmux can, and so can tools of libxdp 1.5.5 and newer"}
}
