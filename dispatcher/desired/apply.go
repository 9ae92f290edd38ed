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

// Apply makes the interfaces run what the state wants, each in one swap of its
// dispatcher, and in none if nothing is to be done. It returns what it did. If an
// interface can't be changed, its [Plan.Err] says why, it stays as it was, and the others
// are changed all the same. If Apply itself returns an error, it has changed nothing.
//
// Only one process at a time applies. Another one waits for at most a minute, and then
// fails with [xdp.ErrBusy].
func (s *State) Apply(ctx context.Context, opts Options) ([]*Plan, error) {
	return s.apply(ctx, defaultRecords, opts)
}

func (s *State) apply(ctx context.Context, r records, opts Options) ([]*Plan, error) {
	all, err := s.targetsHere(opts.Only)
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
	if opts.Only == nil { // else the caller calls Tidy now and then
		if err := r.cleanAll(); err != nil {
			return nil, err
		}
	}
	o := newObjects()
	defer o.close()
	var b batch
	defer b.end(r)
	return planEach(all, func(t *target) *Plan { return t.apply(ctx, o, r, &b, opts) }), nil
}

// Tidy removes the records of programs that are gone. Apply does that too, unless it is for some
// interfaces only ([Options.Only]), which may be few among many. While an apply runs, Tidy does
// nothing.
func Tidy(ctx context.Context) error {
	r := defaultRecords
	unlock, err := r.lock(ctx, 0, nil)
	if errors.Is(err, xdp.ErrBusy) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	return r.cleanAll()
}

func (t *target) apply(ctx context.Context, o *objects, r records, b *batch, opts Options) *Plan {
	for try := 1; ; try++ {
		plan := t.plan(ctx, o, r, opts)
		if plan.Err == nil && opts.Approve != nil {
			plan.Err = opts.Approve(plan)
		}
		if plan.Err != nil {
			plan.Steps = []Step{}
			return plan
		}
		err := plan.do(ctx, r, b, opts)
		if errors.Is(err, xdp.ErrNoProgram) && try < tries {
			continue // another tool took a program away meanwhile
		}
		plan.Err = err
		return plan
	}
}

// swap does the steps that are one swap. It records each new program before that can run:
// else nobody would know whose it is if this process were killed in between.
func (p *Plan) swap(ctx context.Context, r records, b *batch, opts Options) error {
	if err := p.begin(r, b); err != nil {
		return r.unwritten(p.Interface.Name, err)
	}
	defer b.made(r, p.Interface.Name)
	t := transaction(p.mode, p.Steps)
	t.Changing = opts.Changing
	t.BeforeSwap = func(coming []dispatcher.Coming) error {
		for _, s := range p.Steps {
			if !s.loads() {
				continue
			}
			// Of several that are added, they come in the order of the steps.
			i := slices.IndexFunc(coming, func(c dispatcher.Coming) bool { return c.Old == s.ID })
			c := coming[i]
			coming = slices.Delete(slices.Clone(coming), i, i+1)
			// It was loaded just now, so that what is there under its id, if anything, is about another one.
			rec := record{ID: c.Loaded.ID, Tag: c.Loaded.Tag, LoadTime: c.LoadTime, Program: s.want.entry, Digest: s.want.digest, Applied: []int{p.Interface.Index}}
			if err := r.write(rec); err != nil {
				return r.unwritten(p.Interface.Name, err)
			}
		}
		return nil
	}
	done, err := b.Commit(ctx, t, p.Interface.Name) // clean removes the records of what didn't come to run
	if err != nil {
		return err
	}
	p.LostAbove, p.Lost = done.Chain.LostAbove, done.Chain.CheckMTU()
	p.Attached, p.Running = done.Chain.MainID(), len(done.Chain.Programs)
	return nil
}

// do does the steps and records what runs then.
func (p *Plan) do(ctx context.Context, r records, b *batch, opts Options) error {
	if swaps(p.Steps) {
		if err := p.swap(ctx, r, b, opts); err != nil {
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
				if err := dispatcher.Detach(ctx, p.Interface.Name, s.ID, dispatcher.DetachOptions{Changing: opts.Changing}); err != nil && !errors.Is(err, xdp.ErrNoProgram) {
					return err
				}
				p.Attached = 0
			}
			errs = append(errs, r.forget(s.ID, p.Interface.Index))
		case Adopt:
			if s.joins {
				errs = append(errs, r.forget(s.ID, p.Interface.Index))
			} else {
				record(s.there, s.want)
			}
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
