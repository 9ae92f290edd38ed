package dispatcher

import (
	"fmt"
	"strings"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Component is a program of a chain. ID 0 stands for a program that is gone: its slot is
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

	Loss // see CheckMTU

	// DeviceBound says that the dispatcher is bound to its device, so that programs of the chain
	// may ask for the device's metadata (BPF_F_XDP_DEV_BOUND_ONLY). Native tools can't change
	// such a chain.
	DeviceBound bool `json:"device_bound,omitempty"`

	// NativeLocked says that tools of libxdp before 1.5.5 can't change the chain: a
	// program in it changes packet data.
	NativeLocked bool `json:"native_locked,omitempty"`

	Programs []Component `json:"programs"` // in the order they run

	// Problem says what is wrong with the chain: that programs are gone, or why the chain
	// could not be read. In the second case Err is set too.
	Problem string `json:"problem,omitempty"`
	Err     error  `json:"-"`
}

// MainID is the id of the dispatcher or legacy program; 0: there is neither.
func (c *Chain) MainID() uint32 {
	switch {
	case c.Dispatcher != nil:
		return c.Dispatcher.ID
	case c.Legacy != nil:
		return c.Legacy.ID
	}
	return 0
}

// Open opens the program with that id, which the chain has; it may be the dispatcher, or the one that
// stands alone. It stands for bpf_prog_get_fd_by_id. Without CAP_SYS_ADMIN, what a chain has is found
// by its pins. ENOENT: the program is gone. Errors: [xdp.ErrPermission].
func (c *Chain) Open(id uint32) (*libbpf.FD, error) {
	if c.Dispatcher == nil {
		return loaded.OpenProg(id)
	}
	for i, p := range c.Programs {
		if p.ID == id {
			return protocol.OpenComponent(c.Interface.Index, c.Dispatcher.ID, i, id)
		}
	}
	return protocol.OpenMain(c.Interface.Index, id)
}

// newChain is the chain of an interface with that dispatcher; nil: it has none.
func newChain(l device.Device, d *protocol.Dispatcher) *Chain {
	c := &Chain{Interface: l.Interface, Loss: Loss{MTU: l.Mtu}, Programs: []Component{}}
	if d == nil {
		return c
	}
	c.Mode, c.Dispatcher, c.Version, c.Pins = &l.Mode, &d.Loaded, d.Config.Version, d.Pins
	c.Frags, c.DeviceBound, c.NativeLocked = d.Config.Frags, d.Config.DeviceBound, d.Locked
	if !c.Frags && l.Mode == xdp.ModeNative {
		c.Loss = lossOf(l)
	}
	gone := 0
	for _, s := range d.Slots {
		c.Programs = append(c.Programs, componentOf(s))
		if s.ID == 0 {
			gone++
		}
	}
	if gone > 0 {
		c.Problem = fmt.Sprintf("%d of %d programs are gone: the chain is half removed", gone, len(d.Slots))
	}
	return c
}

func componentOf(s protocol.Slot) Component {
	return Component{Loaded: s.Loaded, Priority: s.Priority, Actions: s.Actions, Frags: s.HasFrags()}
}

// Find is the program of that name. The error lists what there is: it is of kind
// [xdp.ErrNoProgram] if no program has the name, and of kind [xdp.ErrInvalid] if several do.
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

// Writable says why a [Transaction] can't change the chain; nil: it can. Errors:
// [xdp.ErrVersion].
func (c *Chain) Writable() error {
	switch {
	case c.Dispatcher == nil:
		return nil
	case !protocol.Writes(c.Version):
		return (&xdp.Error{Kind: xdp.ErrVersion,
			Msg: fmt.Sprintf("the chain on %s has a dispatcher of version %d, and xdpmux writes versions 2 and 3", c.Interface.Name, c.Version)}).
			Advise("upgrade the chain, which keeps its programs: %v", xdp.Hint{To: xdp.HintUpgrade, Interface: c.Interface.Name})
	}
	return nil
}

// CheckMTU says which packets the driver drops before the program sees them, where the MTU is too
// large for a chain, or a legacy program, without frags support, or that it may, where nobody can
// tell of a legacy program; nil: none. Errors:
// [xdp.ErrModeNotSupported].
func (c *Chain) CheckMTU() error {
	what, frags := "chain", everyFrags
	if c.Legacy != nil {
		what, frags = "program", `put the program into SEC("xdp.frags")`
	}
	words := fmt.Sprintf("%s loses packets of more than %d bytes: its MTU is %d, and the %s has no frags support", c.Interface.Name, c.LostAbove, c.MTU, what)
	if c.MayLoseAbove != 0 {
		words = fmt.Sprintf("%s may lose packets of more than %d bytes: its MTU is %d, and the kernel doesn't tell whether the program has frags support", c.Interface.Name, c.MayLoseAbove, c.MTU)
	}
	return c.explain(words,
		"lower the MTU; without the "+what+" the driver goes on losing them, until it is loaded anew",
		frags, "unload the "+what+" and use %v")
}

// warnMTU tells warn, if there is one, of packets that the chain doesn't get.
func (c *Chain) warnMTU(warn func(error)) {
	if warn == nil {
		return
	}
	if err := c.CheckMTU(); err != nil {
		warn(err)
	}
}
