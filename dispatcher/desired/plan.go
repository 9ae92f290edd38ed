package desired

import (
	"context"
	"errors"
	"slices"

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
