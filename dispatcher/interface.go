package dispatcher

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
)

// Interface names a network interface of the calling thread's network namespace.
type Interface struct {
	Name  string `json:"name"`
	Index int    `json:"index"`
}

// link is an interface and what the kernel says of its XDP program, from one
// netlink query.
type link struct {
	Interface
	attached bool
	mode     Mode   // of the main program
	progID   uint32 // the main program; 0 also where there are several
	mtu      int
}

// nl's attach modes (XDP_ATTACHED_).
const (
	attachedNative = 1
	attachedSKB    = 2
	attachedHW     = 3
)

func newLink(l netlink.Link) link {
	a := l.Attrs()
	result := link{Interface: Interface{Name: a.Name, Index: a.Index}, mode: ModeUnspecified, mtu: a.MTU}
	if a.Xdp == nil || !a.Xdp.Attached {
		return result
	}
	result.attached = true
	result.progID = a.Xdp.ProgId
	switch a.Xdp.AttachMode {
	case attachedNative:
		result.mode = ModeNative
	case attachedSKB:
		result.mode = ModeSKB
	case attachedHW:
		result.mode = ModeHW
	}
	return result
}

// linkByName asks the kernel for one interface.
func linkByName(name string) (link, error) {
	if name == "" || len(name) > 15 {
		return link{}, noInterface(name, nil)
	}
	l, err := netlink.LinkByName(name)
	var notFound netlink.LinkNotFoundError
	if errors.As(err, &notFound) {
		return link{}, noInterface(name, err)
	}
	if err != nil {
		return link{}, fmt.Errorf("look up interface %s: %w", name, err)
	}
	return newLink(l), nil
}

// again asks the kernel for l anew.
func (l link) again() (link, error) {
	now, err := netlink.LinkByIndex(l.Index)
	var notFound netlink.LinkNotFoundError
	if errors.As(err, &notFound) {
		return link{}, noInterface(l.Name, err)
	}
	if err != nil {
		return link{}, fmt.Errorf("look up interface %s: %w", l.Name, err)
	}
	return newLink(now), nil
}

func noInterface(name string, err error) error {
	return &Error{Kind: ErrNoInterface,
		Msg:    fmt.Sprintf("no interface %q in this network namespace", name),
		Remedy: "ip link lists the interfaces",
		Err:    err}
}

// links asks for all interfaces in one dump, in the kernel's order. A dump that
// the kernel marks as interrupted by a change is asked for again.
func links() ([]link, error) {
	for try := 0; ; try++ {
		all, err := netlink.LinkList()
		if errors.Is(err, netlink.ErrDumpInterrupted) && try < 10 {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list interfaces: %w", err)
		}
		result := make([]link, len(all))
		for i, l := range all {
			result[i] = newLink(l)
		}
		return result, nil
	}
}
