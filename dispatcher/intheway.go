package dispatcher

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// checkHeld is the error of an interface whose main program a bpf_link holds; nil: none does.
// A program that is held can't be replaced or taken away through the interface.
func checkHeld(l device.Device) error {
	if l.ProgID == 0 {
		return nil
	}
	id := loaded.HoldingLinks()[loaded.Holding{Ifindex: l.Index, ProgID: l.ProgID}]
	if id == 0 {
		return nil
	}
	program := xdp.Loaded{ID: l.ProgID}
	if p, err := loaded.ByID(l.ProgID); err == nil {
		program = p.Loaded
	}
	return heldByLink(l.Name, program, id)
}

// Held is the error of any change where a bpf_link holds the interface's program; nil: none
// does. It names the processes and pins that hold the link. Errors: [xdp.ErrLinkHeld].
func (c *Chain) Held() error {
	main := cmp.Or(c.Dispatcher, c.Legacy)
	if c.Link == 0 || main == nil {
		return nil
	}
	return heldByLink(c.Interface.Name, *main, c.Link)
}

// InTheWay says why no program can join what is on the interface: a bpf_link holds it, or it
// was attached without a dispatcher; nil: neither. Errors: [xdp.ErrLinkHeld],
// [xdp.ErrLegacy].
func (c *Chain) InTheWay() error {
	if held := c.Held(); held != nil || c.Legacy == nil {
		return held
	}
	return legacyInTheWay(c.Interface.Name, *c.Legacy)
}

func heldByLink(ifname string, program xdp.Loaded, id uint32) error {
	e := &xdp.Error{Kind: xdp.ErrLinkHeld,
		Msg:    fmt.Sprintf("%s has %s, held by bpf_link %d, and only through that can it be changed", ifname, program, id),
		Remedy: fmt.Sprintf("to remove it all the same: bpftool link detach id %d", id)}
	if holders := loaded.Holders(id); len(holders) > 0 {
		e.Remedy = "the link belongs to " + strings.Join(holders, " and ") + "; " + e.Remedy
	}
	return e
}

// checkLegacy is the error of an interface whose main program is no dispatcher; nil: it is
// one, or there is none.
func checkLegacy(l device.Device) error {
	if l.ProgID == 0 {
		return nil
	}
	fd, err := loaded.OpenProg(l.ProgID)
	if err != nil {
		return nil // it is gone, or we may not see it: the attach itself will tell
	}
	defer fd.Close()
	info, err := libbpf.ProgInfoByFD(fd.Int())
	if err != nil || info.Name == protocol.DispatcherProgram {
		return nil
	}
	if held := checkHeld(l); held != nil {
		return held
	}
	return legacyInTheWay(l.Name, xdp.Loaded{ID: info.ID, Name: info.Name})
}

func legacyInTheWay(ifname string, program xdp.Loaded) error {
	return (&xdp.Error{Kind: xdp.ErrLegacy,
		Msg: fmt.Sprintf("%s has %s, attached without a dispatcher, and nothing can join that", ifname, program)}).
		Advise("to take it into a chain: %v; to remove it: %v",
			xdp.Hint{To: xdp.HintAdopt, Interface: ifname}, xdp.Hint{To: xdp.HintDetachAll, Interface: ifname})
}

func modeMismatch(l device.Device, mode xdp.Mode) error {
	return (&xdp.Error{Kind: xdp.ErrModeMismatch,
		Msg: fmt.Sprintf("the chain on %s is attached in %s mode, so nothing can join it in %s mode", l.Name, l.Mode, mode)}).
		Advise("use %v, or unload the chain first: %v", xdp.Hint{To: xdp.HintMode, Mode: l.Mode}, xdp.Hint{To: xdp.HintDetachAll, Interface: l.Name})
}

// loneMismatch is modeMismatch for a program that is to be taken into a chain.
func loneMismatch(l device.Device, mode xdp.Mode) error {
	return (&xdp.Error{Kind: xdp.ErrModeMismatch,
		Msg: fmt.Sprintf("program %d on %s is attached in %s mode, so it can't be in a chain in %s mode", l.ProgID, l.Name, l.Mode, mode)}).
		Advise("use %v, or unload it first: %v", xdp.Hint{To: xdp.HintMode, Mode: l.Mode}, xdp.Hint{To: xdp.HintDetachAll, Interface: l.Name})
}

// chooseMode compares the mode asked for with what is attached. The kernel refuses a second
// mode on an interface, with an errno that would look like a lost race.
func (t Transaction) chooseMode(l device.Device) (xdp.Mode, error) {
	if !l.Attached || t.Mode == xdp.ModeHW || l.Mode == xdp.ModeHW || l.Mode == xdp.ModeUnspecified {
		return t.Mode, nil
	}
	err := checkLegacy(l)
	lone := t.takesLone(l) && errors.Is(err, xdp.ErrLegacy)
	switch {
	case err != nil && !lone:
		return t.Mode, err
	case t.Mode == xdp.ModeUnspecified || t.Mode == l.Mode:
		return l.Mode, nil
	case lone:
		return t.Mode, loneMismatch(l, t.Mode)
	}
	return t.Mode, modeMismatch(l, t.Mode)
}
