package dispatcher

import (
	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// changingAlone is changing for a program without a dispatcher: o comes, or where o is nil
// old goes.
func changingAlone(l device.Device, mode xdp.Mode, old *openChain, o *object.Program, f func(*Changing) error) error {
	if f == nil {
		return nil
	}
	c := &Changing{Before: (&swap{iface: l, old: old}).before(), After: newChain(l, nil), keepIn: old.keepIn}
	if o != nil {
		p, err := loaded.ByFD(o.Bpf.FD())
		if err != nil {
			return err
		}
		c.After.Legacy, c.After.Mode = &p.Loaded, &mode
		c.addPins(o)
	}
	return f(c)
}

// goingAlone is changing for a legacy or an offloaded program that goes.
func goingAlone(l device.Device, mode xdp.Mode, prog *libbpf.FD, f func(*Changing) error) error {
	if mode == xdp.ModeHW {
		return changingHardware(l, f)
	}
	old := &openChain{main: prog}
	if err := old.isLone(); err != nil {
		return err
	}
	return changingAlone(l, mode, old, nil, f)
}

// changingHardware is changing for the offloaded program.
func changingHardware(l device.Device, f func(*Changing) error) error {
	if f == nil {
		return nil
	}
	return f(&Changing{Before: newChain(l, nil), After: newChain(l, nil), Hardware: true})
}
