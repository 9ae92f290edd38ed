package dispatcher

import (
	"errors"
	"fmt"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// nativeLock says what a program brings to a chain. err is why libxdp's dispatcher can't
// host it.
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

// checkNative refuses a swap after which native tools can't change the chain, or tells of
// it, as the transaction says.
func (c *commit) checkNative(s *swap) error {
	if s.host == nil || !s.host.locked {
		return nil
	}
	warning := nativeLock(s.link, s.host.reason)
	switch was := s.old.state != nil && s.old.state.Locked; {
	case c.NativeCompatible:
		return warning
	case !was && !c.warned && c.Warn != nil:
		c.warned = true // a lost race starts over
		c.Warn(warning)
	}
	return nil
}
