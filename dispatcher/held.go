package dispatcher

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// checkHeld says whether a bpf_link holds the interface's main program: then
// nobody can replace it or take it away through the interface.
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

// Held is the error of a change where a bpf_link holds the interface's program; nil:
// none does. It names who holds the link. Errors: [xdp.ErrLinkHeld].
func (c *Chain) Held() error {
	main := cmp.Or(c.Dispatcher, c.Legacy)
	if c.Link == 0 || main == nil {
		return nil
	}
	return heldByLink(c.Interface.Name, *main, c.Link)
}

// InTheWay is the error of a program that keeps others from joining it, as a bpf_link
// holds it or it was attached without a dispatcher; nil: there is none. Errors:
// [xdp.ErrLinkHeld], [xdp.ErrLegacy].
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

// stillHeld says by whom a chain that was on an interface is still held; nil: it is gone, or
// was pinned where libxdp has its pins, so that all is known of it.
func (r *openChain) stillHeld(ifname string) error {
	for _, s := range r.state.Slots {
		if s.LinkID == 0 {
			continue
		}
		fd, err := libbpf.LinkByID(s.LinkID)
		if err != nil {
			continue
		}
		fd.Close()
		by := "its pins lie where this mount namespace doesn't see them"
		if holders := loaded.Holders(s.LinkID); len(holders) > 0 {
			by = "it is held by " + strings.Join(holders, " and ")
		}
		return &xdp.Error{Kind: xdp.ErrSystem, Msg: fmt.Sprintf("the chain that was on %s stays loaded: %s", ifname, by),
			Remedy: "it takes no packets; where its pins are seen, xdpmux clean removes them, such as with: nsenter --mount=/proc/1/ns/mnt xdpmux clean"}
	}
	return nil
}
