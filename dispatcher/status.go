package dispatcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Component is a program of a chain. ID 0 stands for one that is gone: its slot is
// empty, and packets go on to the next.
type Component struct {
	xdp.Loaded
	Priority uint32      `json:"priority"`
	Actions  xdp.Actions `json:"actions"` // chain call actions
	Frags    bool        `json:"frags"`   // it takes packets of several buffers
}

// Chain is what runs on an interface: a dispatcher with its component programs,
// or a legacy program, or neither; and perhaps an offloaded program beside it.
type Chain struct {
	Interface  xdp.Interface `json:"interface"`
	Mode       *xdp.Mode     `json:"mode,omitempty"`       // of the dispatcher or legacy program; nil without one
	Dispatcher *xdp.Loaded   `json:"dispatcher,omitempty"` // nil without one
	Version    int           `json:"version,omitempty"`    // of the dispatcher: 1 to 3; 0 without one
	Pins       string        `json:"pins,omitempty"`       // where libxdp's pins of the dispatcher lie; empty: it has none there
	Legacy     *xdp.Loaded   `json:"legacy,omitempty"`     // a program attached without a dispatcher
	Hardware   *xdp.Loaded   `json:"hardware,omitempty"`   // an offloaded program
	Link       uint32        `json:"link,omitempty"`       // id of the bpf_link that holds the dispatcher or legacy program; 0: none does
	Frags      bool          `json:"frags"`                // the chain takes packets of several buffers

	// DeviceBound says that the dispatcher and its programs are bound to the device,
	// whose metadata they may ask for (BPF_F_XDP_DEV_BOUND_ONLY).
	DeviceBound bool `json:"device_bound,omitempty"`

	// NativeLocked says that tools of libxdp before 1.5.5 can't change the chain: a
	// program in it changes packet data.
	NativeLocked bool `json:"native_locked,omitempty"`

	Programs []Component `json:"programs"` // in the order they run

	// Problem says what is wrong with the chain: programs that are gone, or why it
	// could not be read, and then Err is that too.
	Problem string `json:"problem,omitempty"`
	Err     error  `json:"-"`
}

// Find is the program of that name. The error is of kind [xdp.ErrNoProgram] if there is
// none, and of kind [xdp.ErrInvalid] if there are several; it lists them.
func (c *Chain) Find(name string) (Component, error) {
	var found []Component
	var ids, all []string
	for _, p := range c.Programs {
		text := fmt.Sprintf("%d (%s)", p.ID, p.Name)
		if all = append(all, text); p.Name == name {
			found, ids = append(found, p), append(ids, text)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return Component{}, &xdp.Error{Kind: xdp.ErrInvalid,
			Msg:    fmt.Sprintf("%d programs on %s are called %s", len(found), c.Interface.Name, name),
			Remedy: "name one by its id: " + strings.Join(ids, ", ")}
	case len(all) == 0:
		return Component{}, &xdp.Error{Kind: xdp.ErrNoProgram, Msg: fmt.Sprintf("no chain of programs on %s", c.Interface.Name)}
	}
	return Component{}, &xdp.Error{Kind: xdp.ErrNoProgram,
		Msg:    fmt.Sprintf("no program %s in the chain on %s", name, c.Interface.Name),
		Remedy: "loaded there: " + strings.Join(all, ", ")}
}

// Status tells what runs on an interface: what xdp_multiprog__get_from_ifindex
// reads, but read without libxdp. Errors: [xdp.ErrNoInterface], and [Chain.Err], with
// the chain as far as it could be read.
func Status(ctx context.Context, ifname string) (*Chain, error) {
	chains, err := StatusAll(ctx, ifname)
	if err != nil {
		return nil, err
	}
	return chains[0], chains[0].Err
}

// StatusAll tells what runs on these interfaces, or, without names, on each of the
// network namespace in the kernel's order, from one dump of all; only those with a
// program are looked into. A chain that can't be read has [Chain.Err] set and
// keeps no other from being read, and neither does a name that no interface has: the
// error joins an [xdp.ErrNoInterface] for each, beside the chains of the others.
func StatusAll(ctx context.Context, ifnames ...string) ([]*Chain, error) {
	if len(ifnames) == 0 {
		all, err := device.All()
		if err != nil {
			return nil, err
		}
		return chainsOf(ctx, all)
	}
	var all []device.Device
	var missing []error
	for _, name := range ifnames {
		l, err := device.ByName(name)
		if err != nil {
			missing = append(missing, err)
			continue
		}
		all = append(all, l)
	}
	chains, err := chainsOf(ctx, all)
	return chains, errors.Join(append(missing, err)...)
}

func chainsOf(ctx context.Context, all []device.Device) ([]*Chain, error) {
	chains := make([]*Chain, len(all))
	var foreign []*Chain
	for i, l := range all {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		chains[i] = chainOf(l)
		if l.ProgID != 0 && chains[i].Pins == "" {
			foreign = append(foreign, chains[i])
		}
	}
	// What has its pins where libxdp puts them, no link holds: libxdp makes none.
	// For the rest, all links of the kernel are looked through, once.
	if len(foreign) == 0 {
		return chains, nil
	}
	held := loaded.HoldingLinks()
	for _, c := range foreign {
		if main := cmp.Or(c.Dispatcher, c.Legacy); main != nil {
			c.Link = held[loaded.Holding{Ifindex: c.Interface.Index, ProgID: main.ID}]
		}
	}
	return chains, nil
}

// chainOf reads what sits on an interface. What it can't read whole it reads again if
// the interface has got another program meanwhile.
func chainOf(l device.Device) *Chain {
	for {
		c := readChain(l)
		if c.complete(l) {
			return c
		}
		now, err := l.Again()
		if err != nil || now.ProgID == l.ProgID && now.HwID == l.HwID {
			return c
		}
		l = now
	}
}

// complete says whether all that the interface had was there to be read.
func (c *Chain) complete(l device.Device) bool {
	return c.Problem == "" && (l.ProgID == 0 || c.Dispatcher != nil || c.Legacy != nil) && (l.HwID == 0 || c.Hardware != nil)
}

// readChain counts what disappears while it is read as not there.
func readChain(l device.Device) *Chain {
	c := &Chain{Interface: l.Interface, Programs: []Component{}}
	err := errors.Join(c.readMain(l), c.readHardware(l))
	if err != nil {
		c.Err = explainStatus(l, err)
		c.Problem = c.Err.Error()
	}
	return c
}

func (c *Chain) readMain(l device.Device) error {
	if l.ProgID == 0 {
		return nil
	}
	s, err := protocol.Read(l.Index, l.ProgID)
	if errors.Is(err, protocol.ErrNotDispatcher) {
		p, err := loaded.ByID(l.ProgID)
		if err == nil {
			c.Mode, c.Legacy = &l.Mode, &p.Loaded
		}
		return loaded.UnlessGone(err)
	}
	if s == nil {
		return loaded.UnlessGone(err)
	}
	c.Mode, c.Dispatcher, c.Version, c.Pins, c.Frags = &l.Mode, &s.Loaded, s.Config.Version, s.Pins, s.Config.Frags
	c.DeviceBound, c.NativeLocked = s.Config.DeviceBound, s.Locked
	gone := 0
	for _, p := range s.Slots {
		c.Programs = append(c.Programs, Component{Loaded: p.Loaded, Priority: p.Priority, Actions: p.Actions,
			Frags: p.HasFrags()})
		if p.ID == 0 {
			gone++
		}
	}
	if gone > 0 {
		c.Problem = fmt.Sprintf("%d of %d programs are gone: the chain is half removed", gone, len(s.Slots))
	}
	return err
}

func (c *Chain) readHardware(l device.Device) error {
	if l.HwID == 0 {
		return nil
	}
	p, err := loaded.ByID(l.HwID)
	if err == nil {
		c.Hardware = &p.Loaded
	}
	return loaded.UnlessGone(err)
}
