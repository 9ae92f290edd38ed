package desired

import (
	"context"
	"errors"
	"slices"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Options says how a state is planned and applied.
type Options struct {
	// Prune removes all programs that the state doesn't have from the interfaces that
	// it names. Without it, the programs of other tools stay.
	Prune bool

	// Waiting, if it isn't nil, is called when Apply has to wait, with the process that
	// it waits for: "process 12 (xdpmux)". The call comes from another goroutine.
	Waiting func(holder string)

	// Adopt replaces a program of another tool that has the same function's name as one
	// of the state, but other code, if each is the only one of that name. Without it,
	// such a program stays, and the state's runs beside it. If the content is the same,
	// the state takes the program for its own in any case; that is a step of the plan.
	// A program without a dispatcher is only with Adopt replaced, or taken into the chain with
	// its maps if it has the same content.
	Adopt bool

	// Changing is that of a [dispatcher.Transaction].
	Changing func(*dispatcher.Changing) error

	// Only are the interfaces that are planned or applied; nil: all that the state names. From
	// one that the state doesn't name go the programs that Apply has put there.
	Only []string

	// Approve, if it isn't nil, is called with each plan that can be carried out, before Apply
	// does that. Its error becomes that of the plan, which is then not carried out. If another
	// tool gets in the way, Approve is called again with another plan.
	Approve func(*Plan) error
}

// Plan is how the state and one interface differ.
type Plan struct {
	Interface xdp.Interface `json:"interface"` // without an index if there is none of that name
	Steps     []Step        `json:"steps"`     // what is to be done, or was done; empty if nothing
	Err       error         `json:"-"`         // why this interface can't become what the state wants; nil if it can

	// LostAbove is there where the MTU is too large for the chain as it would be, or is by now:
	// the driver drops IP packets of more bytes. Lost says so.
	LostAbove int   `json:"lost_above,omitempty"`
	Lost      error `json:"-"`

	// Digest stands for all that the state wants of the interface, the contents of the objects
	// included; empty: that can't be told, see Err. Attached is the program that the interface
	// had when it was looked at, or has since the change, such as a dispatcher; 0: none.
	Digest   string `json:"-"`
	Attached uint32 `json:"-"`

	Wanted, Running int `json:"-"` // programs that the state wants, and that ran then

	mode        xdp.Mode
	small       bool // the driver's buffers are too small for packets of the MTU
	corrections []correction
	pins        func(Program) map[string]string
}

// Transaction is what makes the plan's changes to the chain. Steps that leave the chain as it
// is, such as to adopt a program, have no part in it.
func (p *Plan) Transaction() dispatcher.Transaction { return transaction(p.mode, p.Steps) }

// Adopted are the programs that the state takes for its own as they run, by their ids, and
// what each would be loaded from.
func (p *Plan) Adopted() map[uint32]xdp.Program {
	all := map[uint32]xdp.Program{}
	for _, s := range p.Steps {
		if s.Action == Adopt {
			all[s.ID] = s.want.load()
		}
	}
	return all
}

// Plan tells what Apply would do, for each interface that the state names. What is wrong
// with one interface is in its [Plan.Err]; the error is about the state as a whole. If a
// program runs that has no record, Plan loads the object of the same function's name to
// compare the two, and lets it go.
func (s *State) Plan(ctx context.Context, opts Options) ([]*Plan, error) {
	all, err := s.targetsHere(opts.Only)
	if err != nil {
		return nil, err
	}
	o := newObjects()
	defer o.close()
	return planEach(all, func(t *target) *Plan {
		p := t.plan(ctx, o, defaultRecords, opts)
		if p.Err == nil && p.small && swaps(p.Steps) {
			p.Err = p.preview(ctx)
		}
		return p
	}), nil
}

// preview finds out which packets the chain wouldn't get.
func (p *Plan) preview(ctx context.Context) error {
	after, err := p.Transaction().Preview(ctx, p.Interface.Name)
	if err != nil {
		return err
	}
	p.LostAbove, p.Lost = after.LostAbove, after.CheckMTU()
	return nil
}

// planEach makes a plan for each target. It leaves out an interface that is gone by now, if
// only a pattern has named it.
func planEach(all []*target, plan func(*target) *Plan) []*Plan {
	plans := []*Plan{}
	for _, t := range all {
		if p := plan(t); t.named || !errors.Is(p.Err, xdp.ErrNoInterface) {
			plans = append(plans, p)
		}
	}
	return plans
}

// targetsHere lists interfaces only if a pattern asks for it. Of names that aren't nil, it takes
// those alone.
func (s *State) targetsHere(only []string) ([]*target, error) {
	if only != nil {
		return s.targetsOf(only)
	}
	var names []string
	if slices.ContainsFunc(s.Interfaces, Interface.pattern) {
		var err error
		if names, err = interfaceNames(); err != nil {
			return nil, err
		}
	}
	return s.targets(names)
}

func (t *target) plan(ctx context.Context, o *objects, r records, opts Options) *Plan {
	plan := &Plan{Interface: xdp.Interface{Name: t.name}, Steps: []Step{}, mode: t.attachMode()}
	plan.Err = t.compare(ctx, o, r, opts, plan)
	return plan
}

// compare fills the plan in. If it returns an error, the steps are there nonetheless.
func (t *target) compare(ctx context.Context, o *objects, r records, opts Options, plan *Plan) error {
	chain, runs, err := runningOn(ctx, r, t.name)
	if err != nil {
		return err
	}
	plan.Interface, plan.LostAbove, plan.Lost = chain.Interface, chain.LostAbove, chain.CheckMTU()
	plan.Attached = chain.MainID()
	plan.Wanted, plan.Running = len(t.programs), len(runs)
	buffer := device.Device{Interface: chain.Interface, Mtu: chain.MTU}.SingleBuffer()
	plan.small = buffer.Drops && chain.MTU > buffer.MTU
	if lone, err := loneOn(r, chain); err != nil {
		return err
	} else if opts.Adopt && lone != nil {
		runs = append(runs, lone)
	}
	var want []*wanted
	for _, p := range t.programs {
		w, err := o.resolve(ctx, p)
		if err != nil {
			return err
		}
		want = append(want, w)
	}
	if plan.Digest, err = digestOfAll(plan.mode, want); err != nil {
		return err
	}
	if err := o.compareOthers(want, runs); err != nil {
		return err
	}
	if err := o.findLostPins(want, runs); err != nil {
		return err
	}
	steps, corrections := diff(want, runs, opts)
	plan.Steps, plan.corrections, plan.pins = append(plan.Steps, steps...), corrections, o.pins
	if opts.Prune {
		plan.Steps = append(plan.Steps, removeAlone(chain, len(want) == 0)...)
	}
	if err := pinnable(plan.Steps); err != nil {
		return err
	}
	if err := possible(chain, plan.mode, want, plan.Steps); err != nil {
		return err
	}
	for i, s := range plan.Steps {
		plan.Steps[i].Binds = s.loads() && !chain.DeviceBound && len(s.want.metadata) > 0
	}
	if !swaps(steps) || programsAfter(chain, steps) == 0 {
		return nil // then nothing is written
	}
	return chain.Writable()
}
