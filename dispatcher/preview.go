package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Preview is a chain as a change would make it.
type Preview struct {
	Interface xdp.Interface `json:"interface"`
	Mode      *xdp.Mode     `json:"mode,omitempty"`    // nil: no chain, or one whose mode the kernel chooses
	Version   int           `json:"version,omitempty"` // of the dispatcher; 0: no chain
	Frags     bool          `json:"frags"`             // the chain takes packets of several buffers

	Loss // see CheckMTU

	// DeviceBound says that the chain would be bound to its device, for the metadata that
	// programs ask for.
	DeviceBound bool `json:"device_bound,omitempty"`

	Programs []PreviewedProgram `json:"programs"` // in the order they would run
	Changed  bool               `json:"changed"`  // false: the chain is so already
}

// PreviewedProgram is a program of a [Preview].
type PreviewedProgram struct {
	ID       uint32      `json:"id,omitempty"` // 0: it would be loaded
	Name     string      `json:"name"`
	Tag      string      `json:"tag,omitempty"`  // of one that runs; one that isn't loaded has none yet
	File     string      `json:"file,omitempty"` // the object file of one that would be loaded
	Priority uint32      `json:"priority"`
	Actions  xdp.Actions `json:"actions"`
	Frags    bool        `json:"frags"`

	// Of one that would be loaded.
	Program *xdp.Program `json:"-"` // what it would be loaded from, with its Data
	Old     uint32       `json:"-"` // the program whose place it would take; 0: it is added
	GoesOn  bool         `json:"-"` // with all maps of Old, constants included: that one is adopted
}

// Preview tells what Commit would make of the chain. It loads and pins nothing, and locks the
// pins only while it reads the chain. So it can't know what the verifier or the driver would
// say, whether an object is that of the program to be adopted, nor whether others change the
// chain meanwhile.
//
// Errors: those of [Transaction.Commit], as far as they can be found without a load.
func (t Transaction) Preview(ctx context.Context, ifname string) (*Preview, error) {
	previews, err := t.previewAll(ctx, []string{ifname})
	if err != nil {
		return nil, err
	}
	return previews[0], nil
}

// PreviewAttach tells what [Attach] would make of the chain, or [AttachAll] of several, as
// [Transaction.Preview] does. Where Attach would attach the program without a dispatcher,
// there would be no chain: the error is of kind [xdp.ErrNoDispatcher].
func PreviewAttach(ctx context.Context, ifnames []string, programs []xdp.Program, opts AttachOptions) ([]*Preview, error) {
	if err := checkCall(programs, opts); err != nil {
		return nil, err
	}
	if len(ifnames) == 1 && len(programs) == 1 && privilege.Getenv(privilege.EnvSkipDispatcher) == "1" {
		return nil, protocol.NoDispatcher(privilege.EnvSkipDispatcher+" is set", nil)
	}
	return opts.transaction(programs).previewAll(ctx, ifnames)
}

func (t Transaction) previewAll(ctx context.Context, ifnames []string) ([]*Preview, error) {
	c := &commit{Transaction: t, shared: len(ifnames) > 1}
	if err := c.check(); err != nil {
		return nil, err
	}
	links, err := devicesByName(ifnames)
	if err != nil {
		return nil, err
	}
	if err := c.open(ctx); err != nil {
		return nil, err
	}
	defer c.close()
	var all []*Preview
	for _, l := range links {
		err := untilWon(ctx, l, func(l device.Device) error {
			p, err := c.preview(ctx, l)
			if err == nil {
				all = append(all, p)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (c *commit) preview(ctx context.Context, l device.Device) (*Preview, error) {
	mode, err := c.chooseMode(l)
	if err != nil {
		return nil, err
	}
	if err := protocol.CheckBPFFS(); err != nil {
		return nil, err
	}
	s, err := c.outline(ctx, l, mode)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if s.needed {
		if err := s.checkUnloaded(); err != nil {
			return nil, err
		}
	}
	p := emptied(l.Interface, l.Mtu)
	p.Changed = s.needed
	if len(s.slots) == 0 {
		return p, nil
	}
	if mode != xdp.ModeUnspecified {
		p.Mode = &mode
	}
	if p.Version = s.version; p.Version == 0 {
		if p.Version, err = protocol.NewVersion(); err != nil {
			return nil, err
		}
	}
	p.DeviceBound = s.bound
	p.Frags = !slices.ContainsFunc(s.slots, func(m slot) bool { return !m.HasFrags() })
	if !p.Frags && inDriver(l, mode) {
		p.Loss = lossOf(l)
	}
	for _, m := range s.slots {
		next := PreviewedProgram{ID: m.ID, Name: m.Name, Tag: m.Tag, Priority: m.Priority, Actions: m.Actions, Frags: m.HasFrags()}
		if m.comes != nil {
			next.File, next.Program = m.comes.Spec.File, &m.comes.Spec
			if i := slices.Index(c.replaces, m.comes); i >= 0 {
				next.Old = c.Replace[i].ID
			}
			if a, ok := c.adopted[l.Index]; ok && a.comes == m.comes {
				next.Old, next.GoesOn = a.lone.ID, true
			}
		}
		p.Programs = append(p.Programs, next)
	}
	return p, nil
}

// emptied is an interface without programs, which has some now.
func emptied(l xdp.Interface, mtu int) *Preview {
	return &Preview{Interface: l, Loss: Loss{MTU: mtu}, Programs: []PreviewedProgram{}, Changed: true}
}

// CheckMTU says which packets wouldn't come to the chain, as that of a [Chain] does. Whether the
// driver would lose them or refuse the chain depends on the MTU, and only the driver knows.
func (p *Preview) CheckMTU() error {
	other := "use %v"
	if slices.ContainsFunc(p.Programs, func(m PreviewedProgram) bool { return m.ID != 0 || m.Old != 0 }) {
		other = "unload the chain and use %v" // it has its mode
	}
	return p.explain(
		fmt.Sprintf("%s would lose packets of more than %d bytes, or its driver refuse the chain: its MTU is %d, and the chain would have no frags support", p.Interface.Name, p.LostAbove, p.MTU),
		"lower the MTU first; afterwards the driver goes on losing them, until it is loaded anew",
		everyFrags, other)
}

// unloadedFault finds what would be wrong with the swap, as far as that is to be seen
// before anything is loaded.
func (s *swap) checkUnloaded() error {
	if s.old.Dispatcher != nil && s.old.Pins == "" {
		if err := checkHeld(s.iface); err != nil {
			return err
		}
	}
	for _, m := range s.slots {
		if m.comes == nil {
			continue
		}
		if err := unloadedFault(m.comes); err != nil {
			return err
		}
	}
	return nil
}

// unloadedFault finds what keeps a program from being loaded into a chain, as far as
// its object tells.
func unloadedFault(o *object.Program) error {
	if fault := object.ChainFault(o.Obj, o.Bpf); fault != "" {
		return &xdp.Error{Kind: xdp.ErrObject, Msg: fmt.Sprintf("program %q of %s can't join a chain: %s", o.Bpf.Name(), o.Called, fault)}
	}
	return o.CheckMaps()
}

// PreviewDetach tells what [Detach] would leave, as [Transaction.Preview] does.
func PreviewDetach(ctx context.Context, ifname string, id uint32) (*Preview, error) {
	p, err := Transaction{Mode: xdp.ModeUnspecified, Remove: []uint32{id}}.Preview(ctx, ifname)
	if !notInChain(err) {
		return p, err
	}
	chain, statusErr := Status(ctx, ifname)
	if statusErr != nil {
		return nil, errors.Join(err, statusErr)
	}
	for _, alone := range []*xdp.Loaded{chain.Legacy, chain.Hardware} {
		if alone != nil && alone.ID == id {
			return emptied(chain.Interface, chain.MTU), nil
		}
	}
	return nil, err
}

// PreviewDetachAll tells whether [DetachAll] could empty the interface. Errors:
// [xdp.ErrNoInterface], [xdp.ErrNoProgram], [xdp.ErrLinkHeld].
func PreviewDetachAll(ctx context.Context, ifname string) (*Preview, error) {
	l, err := device.ByName(ifname)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !l.Attached {
		return nil, nothingOn(l)
	}
	if err := checkHeld(l); err != nil {
		return nil, err
	}
	return emptied(l.Interface, l.Mtu), nil
}
