package agent

import (
	"context"
	"path/filepath"
	"runtime"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
)

// Run keeps the machine as the files declare it, until ctx ends. What it has attached stays then.
// Errors: [xdp.ErrBusy] if another agent runs in this network namespace, [xdp.ErrSystem] where it
// can't keep what it knows.
func Run(ctx context.Context, opts Options) error {
	// glibc keeps memory for each thread that has ever called libbpf, and Go would call it from all of its own.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	a := &agent{Options: opts, devices: map[int]device.Device{}, files: map[string]*file{}, kept: map[int]*kept{}, missing: map[int]*kept{}, tidied: -1, posts: make(chan func())}
	if a.Every <= 0 {
		a.Every = 30 * time.Second
	}
	a.totals.Errors, a.totals.Moved = map[string]int{}, map[string]Moved{}
	var err error
	if a.Dir, err = filepath.Abs(opts.Dir); err != nil {
		return err
	}
	if a.memory, err = openMemory(); err != nil {
		return err
	}
	defer a.memory.close()
	a.recall(ctx)
	if a.links, err = device.Watch(); err != nil {
		return err
	}
	defer a.links.Close()
	defer func() { a.watch.close() }()
	// A change that is tried goes on when the agent ends; the next process that comes by finds it.
	ctx, cancel := context.WithCancel(ctx)
	defer a.tries.Wait()
	defer cancel()
	err = a.run(ctx)
	a.remember() // what was done since the loop came by
	return err
}

func (a *agent) run(ctx context.Context) error {
	if err := a.lookAtAll(); err != nil {
		return err
	}
	a.tend(ctx)
	a.read(ctx, false)
	for _, f := range a.files {
		f.boot = f.coming != nil
	}
	a.ticked = time.Now()
	tick := time.NewTicker(a.Every)
	defer tick.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		a.converge(ctx)
		if now := time.Now(); a.news || !a.tells.IsZero() && !now.Before(a.tells) {
			a.news, a.tells = false, time.Time{}
			a.remember()
			if a.Tell != nil && ctx.Err() == nil {
				a.Tell(a.status())
			}
		}
		timer.Reset(a.idle(time.Now()))
		select {
		case <-ctx.Done():
		case <-a.links.Wake():
			if err := a.hear(ctx); err != nil {
				return err
			}
		case e := <-a.watch.events():
			if a.watch.concerns(e) {
				a.readSoon(time.Now())
			}
		case <-a.watch.errors(): // of events that were too many
			a.readSoon(time.Now())
		case <-a.Reload:
			a.reload(ctx)
		case f := <-a.posts:
			f()
			a.news = true
		case <-tick.C:
			a.news = true
			if err := a.tick(ctx); err != nil {
				return err
			}
		case <-timer.C:
			if now := time.Now(); !a.reads.IsZero() && !now.Before(a.reads) {
				a.read(ctx, true)
			}
		}
	}
	return nil
}

// idle is how long there is nothing to do, unless something happens.
func (a *agent) idle(now time.Time) time.Duration {
	next := earlier(a.reads, a.tells)
	for _, k := range a.kept {
		if !k.busy {
			next = earlier(next, k.due)
		}
	}
	if next.IsZero() {
		return 24 * time.Hour
	}
	return max(0, next.Sub(now))
}

// reload reads the files, and tries again what was given up.
func (a *agent) reload(ctx context.Context) {
	for _, k := range a.kept {
		k.Held, k.mends = nil, nil
	}
	for _, f := range a.files {
		f.fetchAnew()
	}
	a.tidy(ctx)
	a.read(ctx, true)
	a.converge(ctx)
	a.Log.Info("reloaded")
	if a.Reloaded != nil {
		a.Reloaded()
	}
}

// tick looks for what nobody tells.
func (a *agent) tick(ctx context.Context) error {
	if a.Alive != nil {
		a.Alive()
	}
	a.tend(ctx)
	if a.unread != nil || a.watch == nil {
		a.read(ctx, true)
	}
	a.lookAtClock(time.Now())
	a.hearOthers()
	a.lookAround(time.Now())
	if a.totals.Changes != a.tidied {
		a.tidy(ctx)
	}
	a.forgetMissing()
	return a.lookAtAll()
}

// setBy is how much the clock has to have been set by for that to be told: it is slewed by less.
const setBy = time.Second

// lookAtClock tells of a clock that was set. The agent itself doesn't go by it.
func (a *agent) lookAtClock(now time.Time) {
	before := a.ticked
	a.ticked = now
	step := now.Round(0).Sub(before.Round(0)) - now.Sub(before) // by the clock, and by the monotonic one
	if step.Abs() >= setBy {
		a.totals.ClockSteps++
		a.Log.Warn("the clock was set, or the machine has slept", "by", step.Round(time.Millisecond).String())
	}
}

// hearOthers tells of agents that were turned away because this one runs.
func (a *agent) hearOthers() {
	for _, other := range a.memory.others() {
		a.totals.Refused++
		a.totals.LastRefused = other
		a.Log.Warn("another agent was turned away: this one keeps the machine already", "process", other)
	}
}
