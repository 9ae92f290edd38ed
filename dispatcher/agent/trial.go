package agent

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/pending"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// guarded says whether changes are tried. Where the files only want them confirmed, nobody is
// there to do that, and they are made for good.
func (a *agent) guarded() bool { return a.state.Guard != "" || a.state.GuardDrops != nil }

// trial says how a change is tried: the end of the time confirms it, unless the guard has failed.
func (a *agent) trial(t desired.Trial, ifnames []string) pending.Options {
	seconds := func(n int, otherwise time.Duration) time.Duration {
		if n == 0 {
			return otherwise
		}
		return time.Duration(n) * time.Second
	}
	g := a.Guard(t.Guard, a.Dir)
	g.Interval, g.Timeout = seconds(t.GuardInterval, pending.GuardInterval), seconds(t.GuardTimeout, pending.GuardTimeout)
	g.Before = seconds(t.GuardBefore, pending.DropsBefore)
	if t.GuardDrops != nil {
		drops := float64(*t.GuardDrops)
		g.Drops = &drops
	}
	return pending.Options{Time: seconds(t.Confirm, pending.GuardedTime), By: a.By, Command: a.Command,
		Guard: g, Interfaces: ifnames, Auto: true}
}

// tried is what has become of a change.
type tried struct {
	state   *desired.State
	plans   []*desired.Plan
	steps   map[string]string
	outcome pending.Outcome
	err     error // the change wasn't made, or can't be waited for
}

// try makes changes that the guard may take back. Until that is known, the interfaces are busy.
func (a *agent) try(ctx context.Context, all []*kept) {
	for _, k := range all {
		k.busy = true
	}
	a.remember() // if this process is killed, the next one doesn't take the change for confirmed
	state, trial, opts := a.state, a.trial(a.state.Trial, names(all)), a.options(all)
	a.goTry(func() {
		t := a.makeTrial(ctx, state, trial, opts)
		t.state = state
		a.post(ctx, func() { a.tried(ctx, all, t) })
	})
}

func (a *agent) makeTrial(ctx context.Context, state *desired.State, trial pending.Options, opts desired.Options) (t tried) {
	change, err := pending.Begin(ctx, trial)
	if err != nil {
		return tried{err: err}
	}
	defer change.Close()
	t.steps = map[string]string{}
	opts.Changing = change.Hold(ctx)
	opts.Approve = func(p *desired.Plan) error {
		t.steps[p.Interface.Name] = stepsOf(p)
		return nil
	}
	r := newRecorder(nil)
	defer r.Close()
	t.plans, t.err = state.Apply(r.Context(ctx), opts)
	errs, ended := make([]error, len(t.plans)), make([]string, len(t.plans))
	for i, p := range t.plans {
		errs[i], ended[i] = p.Err, p.Interface.Name
	}
	r.EndEach(errs, ended...)
	a.post(ctx, func() { a.recorded(r.err) })
	uncut := context.WithoutCancel(ctx) // what is made is made whole
	waits, err := change.Made(uncut)
	if err != nil {
		_, notBack := change.TakeBack(uncut, err.Error())
		t.err = errors.Join(t.err, err, notBack)
		return t
	}
	if !waits {
		t.outcome.Confirmed = true // there is nothing to take back
		return t
	}
	a.post(ctx, func() {
		a.pending++
		a.Log.Info("changed, and taken back if the guard fails", "interfaces", opts.Only, "time", trial.Time)
	})
	t.outcome, t.err = a.awaited(ctx, change.Await)
	a.post(ctx, func() { a.pending-- })
	return t
}

// awaited waits for the end of a change. The history gets a record of the way back.
func (a *agent) awaited(ctx context.Context, wait func(context.Context) (pending.Outcome, error)) (pending.Outcome, error) {
	r := newRecorder(nil)
	defer r.Close()
	o, err := wait(r.Context(ctx))
	r.TookBack(o.Why, o.BackNames()...)
	if o.TakenBack() {
		a.post(ctx, func() { a.recorded(r.err) })
	}
	return o, err
}

// tried takes what has become of a change.
func (a *agent) tried(ctx context.Context, all []*kept, t tried) {
	for _, k := range all {
		k.busy = false
		i := slices.IndexFunc(t.plans, func(p *desired.Plan) bool { return p.Interface.Name == k.Name && p.Interface.Index == k.Index })
		switch {
		case t.err != nil:
			a.failed(ctx, k, t.err)
		case i < 0: // gone, of which the kernel tells
			k.lookAt(time.Now())
		case t.plans[i].Err != nil:
			a.failed(ctx, k, t.plans[i].Err)
		case t.outcome.TakenBack():
			a.takenBack(k, t.plans[i].Digest, t.outcome.Why)
		default:
			a.done(k, t.state, t.plans[i], t.steps[k.Name])
		}
	}
}

// takenBack notes that an interface has what it had before.
func (a *agent) takenBack(k *kept, digest, why string) {
	k.Held = &hold{digest, "taken back: " + why}
	a.totals.TakenBack++
	a.Log.Error("taken back: what is declared is not tried again until the files change or the agent is reloaded", "interface", k.Name, "why", why)
}

// tend waits for the end of changes for which nobody waits: those that an agent has tried that
// was killed, and those of commands that were.
func (a *agent) tend(ctx context.Context) {
	waiting, err := pending.List()
	if err != nil || len(waiting) == 0 {
		return
	}
	r := newRecorder(nil)
	defer r.Close()
	noticed, err := pending.Tend(r.Context(ctx), func(id string) error {
		change, err := pending.Open(id)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(waiting, func(info pending.Info) bool { return info.ID == id })
		if i < 0 {
			return change.Close()
		}
		all := a.keptOf(waiting[i].Interfaces)
		for _, k := range all {
			k.busy = true
		}
		a.pending++
		a.goTry(func() {
			defer change.Close()
			o, err := a.awaited(ctx, change.Serve)
			a.post(ctx, func() {
				a.pending--
				a.ended(all, o, err)
			})
		})
		return nil
	})
	if err != nil {
		a.warn("changes that wait to be confirmed can't be seen", err)
	}
	for _, n := range noticed {
		r.TookBack(n.Outcome.Why, n.Outcome.BackNames()...)
		for _, k := range a.keptOf(n.Interfaces) {
			k.lookAt(time.Now()) // what was taken back as its agent was killed is tried again
		}
	}
	if len(noticed) > 0 {
		a.recorded(r.err)
	}
}

func (a *agent) keptOf(all []xdp.Interface) (kept []*kept) {
	for _, is := range all {
		if k := a.kept[is.Index]; k != nil {
			kept = append(kept, k)
		}
	}
	return kept
}

// ended takes what has become of a change that another process has begun.
func (a *agent) ended(all []*kept, o pending.Outcome, err error) {
	for _, k := range all {
		k.busy = false
		k.lookAt(time.Now())
		if err != nil || k.Trying == "" {
			continue // it wasn't an agent's
		}
		if o.TakenBack() {
			a.takenBack(k, k.Trying, o.Why)
		} else if o.Confirmed {
			k.Declared = k.Trying
		}
	}
}
