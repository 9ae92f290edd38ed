package desired

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Options says how a state is planned and applied.
type Options struct {
	// Prune takes away what the state doesn't know, on the interfaces that it
	// names: without it, the programs of other tools stay.
	Prune bool

	// Waiting, if there is one, is told whom Apply waits for, such as "process 12
	// (xdpmux)", from another goroutine.
	Waiting func(holder string)

	// Adopt replaces programs of other tools that have the same function's name as
	// one of the state, where that is the only one on each side. Without it, such a
	// program stays, and the state's runs beside it. One of the same content is taken
	// for the state's in any case, which is a step of the plan.
	Adopt bool
}

// Plan is what is between the state and one interface.
type Plan struct {
	Interface xdp.Interface `json:"interface"` // without an index if there is none of that name
	Steps     []Step        `json:"steps"`     // what is to be done, or was; nothing: none
	Err       error         `json:"-"`         // why this interface can't be as the state wants it; nil: it can

	mode        xdp.Mode
	corrections []correction
	pins        func(Program) map[string]string
}

// Plan tells what Apply would do, for each interface that the state names. What is
// wrong with one interface is in its [Plan.Err]; the error is about the state as a
// whole. Where a program runs that has no record, the object that may be its is
// loaded to compare the tags, and let go.
func (s *State) Plan(ctx context.Context, opts Options) ([]*Plan, error) {
	all, err := s.targetsHere()
	if err != nil {
		return nil, err
	}
	o := newObjects()
	defer o.close()
	return planEach(all, func(t *target) *Plan { return t.plan(ctx, o, defaultRecords, opts) }), nil
}

// planEach leaves out the interfaces that only a pattern has named, and that are gone
// by now.
func planEach(all []*target, plan func(*target) *Plan) []*Plan {
	plans := []*Plan{}
	for _, t := range all {
		if p := plan(t); t.named || !errors.Is(p.Err, xdp.ErrNoInterface) {
			plans = append(plans, p)
		}
	}
	return plans
}

// targetsHere lists interfaces only if a pattern asks for it.
func (s *State) targetsHere() ([]*target, error) {
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

// compare fills the plan in. Steps that are not possible are told nonetheless.
func (t *target) compare(ctx context.Context, o *objects, r records, opts Options, plan *Plan) error {
	chain, runs, err := runningOn(ctx, r, t.name)
	if err != nil {
		return err
	}
	plan.Interface = chain.Interface
	var want []*wanted
	for _, p := range t.programs {
		w, err := o.resolve(ctx, p)
		if err != nil {
			return err
		}
		want = append(want, w)
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
	err = possible(chain, plan.mode, want, plan.Steps)
	if err != nil || !swaps(steps) || programsAfter(chain, steps) == 0 {
		return err // then nothing is written
	}
	return chain.Writable()
}

// runningOn is the chain of an interface, each program with its record.
func runningOn(ctx context.Context, r records, ifname string) (*dispatcher.Chain, []*running, error) {
	chain, err := dispatcher.Status(ctx, ifname)
	if err != nil {
		return nil, nil, err
	}
	var runs []*running
	for _, c := range chain.Programs {
		if c.ID == 0 {
			continue // gone
		}
		rec, err := r.read(c.ID, c.Tag)
		if err != nil {
			return nil, nil, fmt.Errorf("the record of program %d: %w", c.ID, err)
		}
		runs = append(runs, &running{Component: c, ifindex: chain.Interface.Index, record: rec})
	}
	return chain, runs, nil
}

// tries is how often a plan is made anew because the chain has changed meanwhile.
const tries = 5

// Apply makes the interfaces run what the state wants, each in one swap of its
// dispatcher, or none where nothing is to be done. It returns what it did; an
// interface that failed has [Plan.Err] set, is as it was, and keeps no other from
// being changed. The error is about all of them, and nothing was done then.
//
// Only one process at a time applies; another waits for at most a minute, and then
// fails with [xdp.ErrBusy].
func (s *State) Apply(ctx context.Context, opts Options) ([]*Plan, error) {
	return s.apply(ctx, defaultRecords, opts)
}

func (s *State) apply(ctx context.Context, r records, opts Options) ([]*Plan, error) {
	all, err := s.targetsHere()
	if err != nil {
		return nil, err
	}
	unlock, err := r.lock(ctx, patience, opts.Waiting)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := r.tidy(ctx); err != nil {
		return nil, err
	}
	if err := r.clean(true); err != nil {
		return nil, err
	}
	o := newObjects()
	defer o.close()
	return planEach(all, func(t *target) *Plan { return t.apply(ctx, o, r, opts) }), nil
}

func (t *target) apply(ctx context.Context, o *objects, r records, opts Options) *Plan {
	for try := 1; ; try++ {
		plan := t.plan(ctx, o, r, opts)
		if plan.Err != nil {
			plan.Steps = []Step{}
			return plan
		}
		err := plan.do(ctx, r)
		if errors.Is(err, xdp.ErrNoProgram) && try < tries {
			continue // another tool took it away meanwhile
		}
		plan.Err = err
		return plan
	}
}

// swap does the steps that are one swap. What comes is recorded before it can run: else
// nobody would know whose it is if this process were killed in between.
func (p *Plan) swap(ctx context.Context, r records) error {
	end, err := p.begin(r)
	if err != nil {
		return err
	}
	defer end()
	t := transaction(p.mode, p.Steps)
	t.BeforeSwap = func(coming []dispatcher.Coming) error {
		var added, replaced []dispatcher.Coming
		for _, c := range coming {
			if c.Old == 0 {
				added = append(added, c)
			} else {
				replaced = append(replaced, c)
			}
		}
		for _, s := range p.Steps {
			var c dispatcher.Coming
			switch s.Action {
			case Add:
				c, added = added[0], added[1:]
			case Replace:
				c, replaced = replaced[0], replaced[1:]
			default:
				continue
			}
			if err := r.apply(c.Loaded, s.want, p.Interface.Index); err != nil {
				return fmt.Errorf("%s is as it was, as the record of what should run can't be written: %w", p.Interface.Name, err)
			}
		}
		return nil
	}
	_, err = t.Commit(ctx, p.Interface.Name) // records of what didn't come to run are removed by clean
	return err
}

// do does the steps and records what runs then.
func (p *Plan) do(ctx context.Context, r records) error {
	if swaps(p.Steps) {
		if err := p.swap(ctx, r); err != nil {
			p.Steps = []Step{}
			return err
		}
	}
	var errs []error
	record := func(c xdp.Loaded, w *wanted) {
		errs = append(errs, r.apply(c, w, p.Interface.Index))
	}
	for i := range p.Steps {
		switch s := &p.Steps[i]; s.Action {
		case Replace:
			errs = append(errs, r.forget(s.ID, p.Interface.Index))
		case Remove:
			if s.alone {
				if err := dispatcher.Detach(ctx, p.Interface.Name, s.ID); err != nil && !errors.Is(err, xdp.ErrNoProgram) {
					return err
				}
			}
			errs = append(errs, r.forget(s.ID, p.Interface.Index))
		case Adopt:
			record(s.there, s.want)
		case Pin:
			if err := object.Repin(s.ID, p.pins(s.want.entry)); err != nil {
				return err
			}
		}
	}
	for _, c := range p.corrections {
		record(c.running.Loaded, c.want)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%s runs what it should, but the record of it can't be written: %w", p.Interface.Name, err)
	}
	return nil
}
