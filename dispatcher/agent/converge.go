package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/history"
	"github.com/xdpmux/xdpmux/dispatcher/pending"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Why a plan isn't carried out now. These are no failures.
var (
	errTry   = errors.New("the change is to be tried")
	errWait  = errors.New("it is mended in a moment")
	errLeave = errors.New("it is no longer as declared, and is left so")
	errMoved = errors.New("the name is another interface's by now")
)

// errUnsure is why nothing is taken off while a file can't be read that never could be.
var errUnsure = &xdp.Error{Kind: xdp.ErrInvalid, Msg: "a file that can't be used may declare programs that run there",
	Remedy: "put the file right, or remove it"}

// errComing is the same for a file of which the registries haven't answered yet.
var errComing = &xdp.Error{Kind: xdp.ErrImage, Msg: "a file whose images are being fetched may declare programs that run there",
	Remedy: "wait until the registries have answered"}

// atOnce is how many interfaces are changed before the agent looks whether it is to end.
const atOnce = 64

// converge makes the interfaces that are due run what the files declare.
func (a *agent) converge(ctx context.Context) {
	if a.state == nil {
		for _, k := range a.kept {
			k.due = time.Time{} // the files are read first
		}
		return
	}
	now := time.Now()
	if now.Sub(a.totals.LastChange) > a.Every {
		a.history = nil // at rest, memory counts more than the time that the next change takes
	}
	var all, due []*kept
	for _, k := range a.kept {
		if !k.busy && !k.due.IsZero() && !k.due.After(now) {
			all = append(all, k)
		}
	}
	a.news = a.news || len(all) > 0
	for _, k := range inOrder(all) {
		k.due = time.Time{}
		wants, err := a.state.Wants(k.Name)
		switch {
		case err != nil: // until the files change
			if k.err == nil || k.err.Error() != err.Error() {
				a.count(err)
				a.warn("the files contradict each other: the interface stays as it is", err, "interface", k.Name)
			}
			k.err = err
		case !wants && a.unsure != nil:
			k.err = a.unsure
		default:
			due = append(due, k)
		}
	}
	var tries []*kept
	for some := range slices.Chunk(due, atOnce) {
		if ctx.Err() != nil {
			return
		}
		tries = append(tries, a.apply(ctx, some)...)
	}
	if len(tries) > 0 && ctx.Err() == nil {
		a.try(ctx, tries)
	}
}

// options are those of each change.
func (a *agent) options(all []*kept) desired.Options {
	return desired.Options{Prune: a.Prune, Adopt: a.Adopt, Only: names(all), Waiting: func(holder string) {
		a.Log.Info("waits for another process to finish", "process", holder)
	}}
}

func names(all []*kept) []string {
	names := make([]string, len(all))
	for i, k := range all {
		names[i] = k.Name
	}
	return names
}

// apply makes interfaces run what the files declare. It returns those whose change is to be
// tried.
func (a *agent) apply(ctx context.Context, all []*kept) (tries []*kept) {
	byName := map[string]*kept{}
	for _, k := range all {
		byName[k.Name] = k
	}
	steps := map[string]string{}
	opts := a.options(all)
	opts.Changing = pending.Refuse
	opts.Approve = func(p *desired.Plan) error {
		k := byName[p.Interface.Name]
		steps[p.Interface.Name] = stepsOf(p)
		if k != nil {
			k.differs = stepsOf(p)
		}
		return a.approve(k, p)
	}
	if a.history == nil {
		a.history = history.NewLog("")
	}
	r := newRecorder(a.history)
	defer r.Close()
	changes := a.totals.Changes
	plans, err := a.state.Apply(r.Context(ctx), opts)
	if err != nil {
		for _, k := range all {
			a.failed(ctx, k, err)
		}
		return nil
	}
	var errs []error
	var ended []string
	for _, p := range plans {
		k := byName[p.Interface.Name]
		if k == nil {
			continue // the name is another interface's by now, and its alternative one
		}
		k.declares, k.runs = p.Wanted, p.Running
		switch {
		case errors.Is(p.Err, errTry):
			k.Trying = p.Digest
			tries = append(tries, k)
			continue
		case errors.Is(p.Err, errWait), errors.Is(p.Err, errLeave), errors.Is(p.Err, errMoved), errors.Is(p.Err, xdp.ErrNoInterface):
			continue // of a name that is gone the kernel tells
		}
		errs, ended = append(errs, p.Err), append(ended, p.Interface.Name)
		if p.Err != nil {
			a.failed(ctx, k, p.Err)
			continue
		}
		a.done(k, a.state, p, steps[k.Name])
	}
	r.EndEach(errs, ended...)
	if a.totals.Changes > changes {
		a.recorded(r.err)
	}
	return tries
}

// recorder records changes in the history.
type recorder struct {
	*history.Recorder
	err error // what the history lacks
}

// newRecorder is one for the changes of one call. log is what is known of the history already; nil: nothing.
func newRecorder(log *history.Log) *recorder {
	r := &recorder{}
	r.Recorder = history.NewRecorder(history.Options{Log: log, Warn: func(err error) { r.err = err }})
	return r
}

// recorded notes whether the history has the last changes. err is what it lacks.
func (a *agent) recorded(err error) {
	if err != nil {
		a.count(err)
		a.warn("the history will not have all of it", err)
	}
	a.untold = err
}

// approve says whether the plan for an interface is to be carried out.
func (a *agent) approve(k *kept, p *desired.Plan) error {
	switch {
	case k == nil || k.Index != p.Interface.Index:
		return errMoved
	case len(p.Steps) == 0:
		return nil
	case a.unsure != nil && slices.ContainsFunc(p.Steps, func(s desired.Step) bool { return s.Action == desired.Remove }):
		return a.unsure
	}
	drifts, held := !k.drift.IsZero(), k.Held != nil
	verdict := k.judge(time.Now(), p.Digest, a.guarded(), !a.Report)
	if !drifts && !k.drift.IsZero() {
		a.totals.Drifts++
		a.Log.Warn("drift: the interface is no longer as declared", "interface", k.Name, "missing", stepsOf(p))
	}
	if !held && k.Held != nil {
		a.Log.Error("drift: "+whyFight, "interface", k.Name)
	}
	switch verdict {
	case try:
		return errTry
	case wait:
		return errWait
	case leave:
		return errLeave
	}
	return nil
}

// done notes that an interface is as state declares. steps are what was done for that; empty:
// nothing.
func (a *agent) done(k *kept, state *desired.State, p *desired.Plan, steps string) {
	if wants, err := state.Wants(k.Name); !wants && err == nil && k.due.IsZero() {
		delete(a.kept, k.Index) // nothing of it is left
	}
	was := k.err != nil || k.Held != nil || !k.drift.IsZero()
	now := time.Now()
	if k.converged = now; state == a.state {
		k.generation = a.memory.Generation
	}
	switch {
	case steps != "":
		if k.mending {
			a.totals.Mends++
		}
		a.Log.Info("changed", "interface", k.Name, "done", steps, "mended", k.mending)
		k.made(now, p.Digest, p.Attached)
		a.totals.Changes++
		a.totals.LastChange = now
	default:
		if was {
			a.Log.Info("as declared again", "interface", k.Name)
		}
		k.asDeclared(p.Digest, p.Attached)
	}
	if p.Lost != nil {
		a.warn("large packets are lost", p.Lost, "interface", k.Name)
	}
}

// failed notes that an interface couldn't be changed.
func (a *agent) failed(ctx context.Context, k *kept, err error) {
	if ctx.Err() != nil {
		return
	}
	a.count(err)
	if k.err == nil || k.err.Error() != err.Error() {
		a.warn("not changed: the interface stays as it is", err, "interface", k.Name)
	}
	k.failed(time.Now(), err)
}

// stepsOf are the steps of a plan in words.
func stepsOf(p *desired.Plan) string {
	all := make([]string, len(p.Steps))
	for i, s := range p.Steps {
		all[i] = fmt.Sprintf("%s %s", s.Action, s.Name)
	}
	return strings.Join(all, ", ")
}
