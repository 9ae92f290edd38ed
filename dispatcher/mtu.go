package dispatcher

import (
	"fmt"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// lookAtMTU finds out whether the interface has a larger MTU than the chain can take packets.
func (c *Chain) lookAtMTU(l device.Device) {
	if c.Frags || *c.Mode != xdp.ModeNative {
		return
	}
	buffer := l.SingleBuffer()
	if !buffer.Drops || l.Mtu <= buffer.MTU {
		return
	}
	c.LostAbove, c.LostForGood = buffer.MTU, buffer.Stays
	f, err := l.XDPFeatures()
	c.FragsWouldDo = err == nil && f.RxSG()
}

// CheckMTU says which packets the driver drops before the chain sees them, where the MTU is too
// large for a chain without frags support; nil: none. A driver that refuses such an MTU, or such a
// chain, never gets there. Errors: [xdp.ErrModeNotSupported].
func (c *Chain) CheckMTU() error {
	if c.LostAbove == 0 {
		return nil
	}
	e := &xdp.Error{Kind: xdp.ErrModeNotSupported,
		Msg: fmt.Sprintf("%s loses packets of more than %d bytes: its MTU is %d, and the chain has no frags support",
			c.Interface.Name, c.LostAbove, c.MTU)}
	skb := xdp.Hint{To: xdp.HintMode, Mode: xdp.ModeSKB}
	switch {
	case c.LostForGood:
		return e.Advise("lower the MTU; without the chain the driver goes on losing them, until it is loaded anew")
	case c.FragsWouldDo:
		return e.Advise(`lower the MTU, put every program of the chain into SEC("xdp.frags"), or unload it and use %v`, skb)
	}
	return e.Advise("lower the MTU, or unload the chain and use %v", skb)
}
