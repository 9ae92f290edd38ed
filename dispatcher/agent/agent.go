package agent

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"path/filepath"
	"sync"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/pending"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Options says what an agent keeps, and how.
type Options struct {
	Dir    string // of the state files
	Report bool   // drift is only reported, and not mended

	Prune, Adopt bool // as in [desired.Options]

	// Changes that are tried have these of [pending.Options]. Guard makes a guard of the command
	// that the files have, which may be empty, to be run in that directory. The files say when.
	By, Command string
	Guard       func(command, dir string) *pending.Guard

	// Fetch gets the images that the files name. A tag is resolved when its file is read: when the agent
	// starts, when the file changes, and with Reload.
	Fetch image.Fetcher

	// Log gets what happens.
	Log *slog.Logger

	// Every is how often the agent looks for what nobody tells it, and calls Alive; 0: each half
	// minute. Between two of these calls it does nothing unless something happens.
	Every time.Duration

	// Reload has the agent read the files anew, and try again what it has given up. It calls
	// Reloaded when it has.
	Reload <-chan struct{}

	Alive    func()       // nil: nobody is told
	Tell     func(Status) // is told how things are whenever something has happened; nil: nobody is
	Reloaded func()       // nil: nobody is told
}

// How long the agent waits for more of what has begun to happen.
const (
	filesSettle = 100 * time.Millisecond
	filesLimit  = time.Second // after which it reads the files although they still change
	linkSettle  = 20 * time.Millisecond
)

// agent is what Run works on. All of it belongs to Run's goroutine.
type agent struct {
	Options
	memory *memory

	links   *device.Watcher
	devices map[int]device.Device
	watch   *watcher

	files   map[string]*file
	state   *desired.State // what the files declare; nil: they could never be read
	unread  error          // why the files can't be read
	unsure  error          // why nobody knows what one of the files declares, or has ever declared
	writing bool           // somebody writes to one of the files
	lacking bool           // an image couldn't be fetched
	reads   time.Time      // when to read the files; zero: when they change
	until   time.Time      // and at the latest

	news      bool // there is something to remember and to tell: not with each of many events there is
	kept      map[int]*kept
	missing   map[int]*kept  // those that are gone, as the last tick has seen, and nobody has told why
	turn      int            // of those that tick looks at
	posts     chan func()    // what goroutines have to tell
	tries     sync.WaitGroup // these goroutines
	pending   int            // changes that wait for the end of their time
	totals    totals
	tidied    int   // changes at the last tidy
	unwritten error // why memory isn't written
	untold    error // why the history lacks the last change, or a part of it
}

// Run keeps the machine as the files declare it, until ctx ends. What it has attached stays then.
// Errors: [xdp.ErrBusy] if another agent runs in this network namespace, [xdp.ErrSystem] where it
// can't keep what it knows.
func Run(ctx context.Context, opts Options) error {
	a := &agent{Options: opts, devices: map[int]device.Device{}, files: map[string]*file{}, kept: map[int]*kept{}, missing: map[int]*kept{}, tidied: -1, posts: make(chan func())}
	if a.Every <= 0 {
		a.Every = 30 * time.Second
	}
	a.totals.Errors = map[string]int{}
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
	tick := time.NewTicker(a.Every)
	defer tick.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		a.converge(ctx)
		if a.news {
			a.news = false
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
	next := a.reads
	for _, k := range a.kept {
		if !k.busy && !k.due.IsZero() && (next.IsZero() || k.due.Before(next)) {
			next = k.due
		}
	}
	if next.IsZero() {
		return 24 * time.Hour
	}
	return max(0, next.Sub(now))
}

// readSoon reads the files when they have settled.
func (a *agent) readSoon(now time.Time) {
	if a.until.IsZero() {
		a.until = now.Add(filesLimit)
	}
	a.reads = now.Add(filesSettle)
	if a.until.Before(a.reads) {
		a.reads = a.until
	}
}

// read reads the files, and has all interfaces looked at that they declare. fresh says that somebody
// may have changed the files while this agent ran.
func (a *agent) read(ctx context.Context, fresh bool) {
	now := time.Now()
	a.news = true
	a.reads, a.until = time.Time{}, time.Time{}
	w, err := watchFiles(a.Dir)
	if err != nil {
		a.warn("changes of the files can't be seen at once", err, "directory", a.Dir)
	}
	a.watch.close()
	a.watch = w
	// From here on a change is seen, so what is read now doesn't get old unseen.
	before := a.contents()
	first := a.state == nil
	if err := a.readFiles(ctx, now); err != nil {
		if a.unread == nil || a.unread.Error() != err.Error() {
			a.count(err)
			a.warn("the files can't be read: all stays as it is", err, "directory", a.Dir)
		}
		a.unread = err
		return
	}
	a.unread = nil
	for path := range a.files {
		a.watch.add(path)
	}
	switch {
	case a.writing:
		a.reads = now.Add(time.Second)
	case a.lacking:
		a.reads = time.Now().Add(a.Every)
	}
	changed := !maps.Equal(before, a.contents())
	if changed {
		a.memory.Generation++
	}
	if changed || first {
		a.Log.Info("the files have been read", "directory", a.Dir, "files", len(a.files), "generation", a.memory.Generation)
	}
	for _, d := range a.devices {
		a.declare(d, now)
	}
	for _, k := range a.kept {
		k.fresh = k.fresh || fresh
		k.lookAt(now)
	}
}

// contents are what the files hold, as far as they could be read.
func (a *agent) contents() map[string]string {
	all := map[string]string{}
	for path, f := range a.files {
		if f.state != nil || f.coming != nil {
			all[path] = f.data
		}
	}
	return all
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

// declare begins to keep an interface that the files declare.
func (a *agent) declare(d device.Device, now time.Time) {
	if a.kept[d.Index] != nil || a.state == nil {
		return
	}
	if wants, _ := a.state.Wants(d.Name); wants {
		a.kept[d.Index] = &kept{Index: d.Index, Name: d.Name, due: now}
	}
}

// hear takes what the kernel tells of interfaces.
func (a *agent) hear(ctx context.Context) error {
	notices, missed, err := a.links.Take()
	if err != nil {
		return err
	}
	if missed {
		return a.lookAtAll()
	}
	for _, n := range notices {
		if n.Gone {
			if k := cmp.Or(a.kept[n.Index], a.missing[n.Index]); k != nil && n.Deleted {
				a.deleted(ctx, k, cmp.Or(n.ProgID, a.devices[n.Index].ProgID))
			}
			delete(a.missing, n.Index)
			a.gone(n.Index)
		} else {
			a.there(n.Device)
		}
	}
	return nil
}

// lookAtAll asks for all interfaces.
func (a *agent) lookAtAll() error {
	all, err := device.All()
	if err != nil {
		return err
	}
	here := map[int]bool{}
	for _, d := range all {
		here[d.Index] = true
		a.there(d)
	}
	for index := range a.devices {
		if !here[index] {
			delete(a.devices, index)
		}
	}
	for index, k := range a.kept {
		if !here[index] {
			a.missing[index] = k
			a.gone(index)
		}
	}
	return nil
}

func (a *agent) gone(index int) {
	if k := a.kept[index]; k != nil {
		a.news = true
		a.Log.Info("the interface is gone", "interface", k.Name)
	}
	delete(a.devices, index)
	delete(a.kept, index)
}

// there is told of an interface that is there.
func (a *agent) there(d device.Device) {
	soon := time.Now().Add(linkSettle)
	a.devices[d.Index] = d
	k := a.kept[d.Index]
	switch {
	case k == nil:
		a.declare(d, soon)
	case k.Name != d.Name:
		a.Log.Info("the interface is called otherwise", "interface", d.Name, "before", k.Name)
		a.news = true
		k.Name, k.Declared, k.Trying = d.Name, "", ""
		k.lookAt(soon)
	case k.attached != d.ProgID:
		k.lookAt(soon)
	}
}

// looks is how many interfaces tick has compared with what is declared.
const looks = 32

// tick looks for what nobody tells.
func (a *agent) tick(ctx context.Context) error {
	if a.Alive != nil {
		a.Alive()
	}
	a.tend(ctx)
	if a.unread != nil || a.watch == nil {
		a.read(ctx, true)
	}
	a.lookAround(time.Now())
	if a.totals.Changes != a.tidied {
		a.tidy(ctx)
	}
	clear(a.missing)
	return a.lookAtAll()
}

// lookAround has some of the interfaces looked at, others each time.
func (a *agent) lookAround(now time.Time) {
	all := a.sorted()
	for range min(looks, len(all)) {
		all[a.turn%len(all)].lookAt(now)
		a.turn++
	}
}

// recall takes up what the last agent knew.
func (a *agent) recall(ctx context.Context) {
	for _, k := range a.memory.Interfaces {
		a.kept[k.Index] = k
		k.lookAt(time.Now())
	}
	if a.memory.Dir == a.Dir {
		for path, data := range a.memory.Files {
			if s, err := desired.Parse(ctx, path, a.Dir, []byte(data)); err == nil {
				f := &file{data: data, named: s.HasImages()}
				if !f.named {
					f.state = s
				}
				a.files[path] = f
			}
		}
	}
	a.memory.Dir = a.Dir
}

// remember writes down what the next agent has to know.
func (a *agent) remember() {
	a.memory.Interfaces, a.memory.Files = a.sorted(), a.contents()
	err := a.memory.write()
	if err != nil && a.unwritten == nil {
		a.count(err)
		a.warn("an agent that is started now will not know what this one knows", err)
	}
	a.unwritten = err
}

// warn tells of an error, and what to do about it.
func (a *agent) warn(msg string, err error, args ...any) {
	args = append(args, "error", err)
	var e *xdp.Error
	if errors.As(err, &e) && e.Remedy != "" {
		args = append(args, "remedy", e.Remedy)
	}
	a.Log.Warn(msg, args...)
}
