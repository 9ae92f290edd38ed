package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/store"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Log is what a process knows of the records in a directory, for the next [Recorder]: it needn't read them
// again. Nothing of it stays open. Recorders that have the same are used one after another.
type Log struct {
	log  *writer
	kept *store.Keeper
}

// NewLog knows nothing yet. dir is as for [Read].
func NewLog(dir string) *Log {
	d := directory(cmp.Or(dir, DefaultDir))
	return &Log{newWriter(d), store.NewKeeper(d.store())}
}

// Options says what a [Recorder] writes, and where.
type Options struct {
	Dir     string   // of the records; empty: DefaultDir
	Log     *Log     // of Dir, which is then ignored; nil: one of its own
	Command []string // what makes the changes; nil: the command line of this process

	// Warn, if there is one, is told of a change that was made and couldn't be recorded.
	Warn func(error)
}

// Recorder records the changes that are made with its context, all in the network namespace
// of the first. It can be used by several goroutines.
type Recorder struct {
	dir    directory
	opts   Options
	locate func() (place, error) // finds the boot and the network namespace, once
	maker  func() maker          // who makes the changes, once

	mu     sync.Mutex
	begun  map[int]*change // by the index of the interface
	log    *writer
	kept   *store.Keeper
	leaves leavings // what the changes remove

	sources map[uint32]Source // of the programs that have come, by their ids
	unkept  error             // why what was loaded isn't kept; nil: it is
	unsaved error             // why what the maps of removed programs held isn't; nil: it is
}

// NewRecorder is a Recorder for the changes of one call, such as of one command.
func NewRecorder(opts Options) *Recorder {
	if opts.Command == nil {
		opts.Command = os.Args
	}
	l := opts.Log
	if l == nil {
		l = NewLog(opts.Dir)
	}
	return &Recorder{dir: l.log.dir, opts: opts, locate: sync.OnceValues(here), maker: sync.OnceValue(self), begun: map[int]*change{},
		log: l.log, kept: l.kept, leaves: leavings{}, sources: map[uint32]Source{}}
}

// Context is a context for the changes that are to be recorded. After them, call End. A process that
// goes on calls Close after that.
func (r *Recorder) Context(ctx context.Context) context.Context {
	return dispatcher.WithTrace(ctx, dispatcher.Trace{
		Changing: func(before, after *dispatcher.Chain, sources map[uint32]xdp.Program) {
			r.mu.Lock()
			defer r.mu.Unlock()
			c := r.begun[before.Interface.Index]
			if c == nil {
				c = r.newChange(before.Interface)
				r.begun[before.Interface.Index] = c
			}
			// Where it can't be recorded now, End tries again, and tells of it.
			r.keep(sources)
			if r.begin(ctx, c, before, after) == nil && !c.made {
				r.unsaved = errors.Join(r.unsaved, c.leave(r.leaves))
			}
		},
		Changed: func(after *dispatcher.Chain) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if c := r.begun[after.Interface.Index]; c != nil {
				c.made, c.takenBack, c.After = true, false, chainOf(after, c.source)
				r.unsaved = errors.Join(r.unsaved, c.save(ctx, r.kept, r.dir.referring()))
			}
		},
		TakenBack: func(iface xdp.Interface) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if c := r.begun[iface.Index]; c != nil {
				c.takenBack, c.After = true, c.Before
			}
		},
	})
}

// keep keeps what the programs that come are loaded from.
func (r *Recorder) keep(comes map[uint32]xdp.Program) {
	for id, p := range comes {
		if _, done := r.sources[id]; done {
			continue
		}
		var err error
		if r.sources[id], err = keepSource(r.kept, p, r.dir.referring()); err != nil && r.unkept == nil {
			r.unkept = err
		}
	}
}

// begin records that a change is about to be made, and before it what was missed since the last
// record. Where a lost race is started over, the record gets another number: others may have
// made their changes meanwhile.
func (r *Recorder) begin(ctx context.Context, c *change, before, after *dispatcher.Chain) error {
	planned := false
	defer func() {
		if !planned { // no more can be found out
			c.plan(nil, before, after)
		}
	}()
	if c.made { // the second part of a change that has a record
		return nil
	}
	where, err := r.locate()
	if err != nil {
		return err
	}
	where.index = before.Interface.Index
	unlock, err := r.log.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	last, highest, err := r.last(where, c.Number)
	if err != nil {
		return err
	}
	if err := r.findLinked(where.boot, before, after); err != nil {
		return err
	}
	var records []*Record
	if c.Number != 0 {
		records = append(records, &Record{Number: c.Number, Outcome: void,
			Interface: c.Interface, Boot: c.Boot, Netns: c.Netns, NetnsCookie: c.NetnsCookie})
	}
	missed := missed(ctx, last, where, before)
	if missed != nil {
		if missed.Number == 0 {
			highest++
			missed.Number = highest
		}
		records, last = append(records, missed), missed
	}
	c.plan(last, before, after)
	planned = true
	c.Number = highest + 1
	// If the change crashes the machine, the history tells which command that was. Of a call that
	// changes many interfaces the first one does.
	when := lazily
	if len(r.begun) == 1 {
		when = onDisk
	}
	records = append(records, &c.Record)
	if err := r.log.append(when, highest, records...); err != nil {
		c.Number = 0
		return err
	}
	if missed != nil {
		journal(missed)
	}
	return nil
}

// last finds the newest record of an interface, but for the one of number except. Of a call that
// changes many interfaces, each has its own.
func (r *Recorder) last(where place, except int) (last *Record, highest int, err error) {
	if r.log.spots == nil && len(r.begun) == 1 {
		return r.dir.recent(where, except)
	}
	if err := r.log.update(); err != nil {
		return nil, 0, err
	}
	last, err = r.log.last(where, except)
	return last, r.log.highest, err
}

// End records how the changes of these interfaces have ended. err is what their call
// returned; nil: all is well. Without an error, an interface that wasn't changed gets no
// record.
func (r *Recorder) End(err error, ifnames ...string) {
	r.end(slices.Repeat([]error{err}, len(ifnames)), "", ifnames)
}

// EndEach is End for interfaces that were changed one by one: errs has what the call for each
// returned.
func (r *Recorder) EndEach(errs []error, ifnames ...string) { r.end(errs, "", ifnames) }

// TookBack is End for changes that have taken back one which waited to be confirmed; why says why.
func (r *Recorder) TookBack(why string, ifnames ...string) {
	r.end(make([]error, len(ifnames)), why, ifnames)
}

func (r *Recorder) end(errs []error, why string, ifnames []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ended []*Record
	var changed *Record
	indices := r.indices()
	for i, name := range ifnames {
		err := errs[i]
		c := r.take(name, indices)
		switch {
		case c != nil:
			c.closeMaps() // of a change that wasn't made
			c.settle(err)
			c.Why = shortText(why)
			changed = &c.Record
		case err == nil:
			continue
		default:
			iface := xdp.Interface{Name: name}
			if l, err := device.ByName(name); err == nil {
				iface = l.Interface
			}
			c = r.newChange(iface)
			c.Outcome, c.Error = Failed, shortText(err.Error())
		}
		ended = append(ended, &c.Record)
	}
	if len(ended) == 0 {
		return
	}
	unwritten := r.write(ended)
	r.rest()
	switch {
	case changed == nil || r.opts.Warn == nil:
	case unwritten == nil && r.unkept != nil:
		r.opts.Warn(&xdp.Error{Kind: xdp.ErrSystem, Err: r.unkept,
			Msg:    fmt.Sprintf("undo will not be able to load these programs again, as they can't be kept: %v", r.unkept),
			Remedy: fmt.Sprintf("see to it that %s can be written", r.dir.store().Objects())})
		r.unkept = nil
	case unwritten == nil && r.unsaved != nil:
		r.opts.Warn(&xdp.Error{Kind: xdp.ErrSystem, Err: r.unsaved,
			Msg: fmt.Sprintf("undo will not be able to bring back what the maps of the removed programs held: %v", r.unsaved)})
		r.unsaved = nil
	case unwritten != nil:
		r.opts.Warn(&xdp.Error{Kind: xdp.ErrSystem, Err: unwritten,
			Msg:    fmt.Sprintf("the history will not have this change of %s: %v", changed.Interface.Name, unwritten),
			Remedy: fmt.Sprintf("see to it that %s can be written", r.dir)})
	}
	for _, e := range ended {
		journal(e)
	}
}

// errLeft is why a change failed of which nobody has told how it ended.
var errLeft = errors.New("the interface went meanwhile, or somebody else changed it first")

// Close records that changes have failed which have begun, and of which End wasn't told. It lets go of
// the maps that are held open for them.
func (r *Recorder) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ended []*Record
	for _, c := range r.begun {
		c.closeMaps()
		if c.made {
			c.settle(nil)
		} else {
			c.settle(errLeft)
		}
		ended = append(ended, &c.Record)
	}
	clear(r.begun)
	defer r.rest()
	if len(ended) == 0 {
		return
	}
	if err := r.write(ended); err != nil && r.opts.Warn != nil {
		r.opts.Warn(err)
	}
}

// rest lets go of what is held open for changes that have begun, if there are none any more.
func (r *Recorder) rest() {
	if len(r.begun) == 0 {
		r.log.close()
		r.leaves.closeUnused(nil)
	}
}

// indices are those of the interfaces whose changes have begun, by their names.
func (r *Recorder) indices() map[string]int {
	all := make(map[string]int, len(r.begun))
	for index, c := range r.begun {
		all[c.Interface.Name] = index
	}
	return all
}

// take is the change of an interface that has begun, which is forgotten then; nil: there is
// none.
func (r *Recorder) take(name string, indices map[string]int) *change {
	if len(r.begun) == 0 {
		return nil
	}
	index, ok := indices[name]
	if !ok {
		l, err := device.ByName(name) // of an alternative name
		if err != nil {
			return nil
		}
		index = l.Index
	}
	c := r.begun[index]
	delete(r.begun, index)
	return c
}

// write adds records that have ended. A failure that says no more than the record before it is
// left out: a service that fails each second must not push out what did change.
func (r *Recorder) write(ended []*Record) error {
	if _, err := r.locate(); err != nil {
		return err
	}
	unlock, err := r.log.lock(context.Background())
	if err != nil {
		return err
	}
	defer unlock()
	var highest int
	failed := func(e *Record) bool { return e.Before == nil }
	if r.log.spots == nil || slices.ContainsFunc(ended, failed) {
		log, err := r.dir.end()
		if err != nil {
			return err
		}
		highest = log.highest()
		ended = slices.DeleteFunc(slices.Clone(ended), func(e *Record) bool { return failed(e) && log.repeats(e) })
	} else {
		if err := r.log.update(); err != nil {
			return err
		}
		highest = r.log.highest
	}
	for _, e := range ended {
		if e.Number == 0 {
			highest++
			e.Number = highest
		}
	}
	return r.log.append(onDisk, highest, ended...)
}
