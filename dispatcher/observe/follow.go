package observe

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/xdpmux/xdpmux/dispatcher"
)

// followed is one interface whose chain is followed.
type followed struct {
	iface dispatcher.Interface
	opts  Options
	cpus  int

	mainID     uint32 // of the program on the interface when it was last read
	dispatcher *row   // nil where there never was one
	rows       []*row // component, legacy and hardware programs; those that left stand last
	dropped    passed // through rows that are forgotten
}

// passed is what a program decided, and so adds to the dispatcher's row.
type passed struct {
	verdicts Verdicts
	times    Times // of runs in the dispatcher's own place
}

func (p *passed) add(q passed) {
	p.verdicts.add(q.verdicts)
	p.times.add(q.times)
}

// row is what one program has done so far. While its probe goes on, its place may
// change, so counts are attributed piece by piece: base and passed hold what was
// counted up to start.
type row struct {
	Program // what doesn't change while it stays in its place
	place   place
	probe   *probed   // nil: not observed
	since   time.Time // when it left

	base   Counts
	times  Times
	passed passed
	start  raw
}

func newFollowed(iface dispatcher.Interface, opts Options, cpus int) *followed {
	return &followed{iface: iface, opts: opts, cpus: cpus}
}

// refresh looks whether another program is on the interface, and if so follows
// it. It says false where the chain couldn't be read, as others are changing it.
func (f *followed) refresh() bool {
	id, attached := uint32(0), false
	if l, err := netlink.LinkByIndex(f.iface.Index); err == nil {
		if xdp := l.Attrs().Xdp; xdp != nil {
			id, attached = xdp.ProgId, xdp.Attached
		}
		f.iface.Name = l.Attrs().Name
	} else if !errors.As(err, new(netlink.LinkNotFoundError)) {
		return false
	}
	if id == f.mainID {
		return true
	}
	c := &dispatcher.Chain{Interface: f.iface}
	if attached {
		var err error
		if c, err = dispatcher.Status(context.Background(), f.iface.Name); err != nil || main(c) == nil {
			return false
		}
	}
	f.follow(c)
	return true
}

// follow observes what c holds and lets go of what it doesn't.
func (f *followed) follow(c *dispatcher.Chain) {
	f.mainID = 0
	if m := main(c); m != nil {
		f.mainID = m.ID
	}
	old := map[uint32]*row{}
	for _, r := range f.rows {
		r.settle(f.cpus)
		old[r.ID] = r
	}
	var rows []*row
	enter := func(p Program, at place) {
		r := old[p.ID]
		delete(old, p.ID)
		if r == nil {
			r = &row{}
		}
		p.Blind = r.Blind
		r.Program, r.place = p, at
		if r.probe == nil && p.Role != RoleHardware {
			r.observe(at.actions, f.opts.Latency)
		}
		rows = append(rows, r)
	}
	for i, p := range c.Programs {
		enter(Program{Loaded: p.Loaded, Role: RoleComponent, Priority: p.Priority, Actions: &p.Actions},
			place{actions: p.Actions, last: i == len(c.Programs)-1, alone: len(c.Programs) == 1})
	}
	if c.Legacy != nil {
		enter(Program{Loaded: *c.Legacy, Role: RoleLegacy}, place{alone: true})
	}
	if c.Hardware != nil {
		enter(Program{Loaded: *c.Hardware, Role: RoleHardware}, place{alone: true})
		rows[len(rows)-1].Blind = &dispatcher.Error{Kind: dispatcher.ErrModeNotSupported, Msg: "the program runs on the device, where the kernel can't count"}
	}
	f.rows = append(rows, f.leave(old)...)
	f.followDispatcher(c)
}

// leave lets go of the programs that are not in the chain any more.
func (f *followed) leave(old map[uint32]*row) []*row {
	var gone []*row
	for _, r := range f.rows { // not over the map, to keep their order
		if old[r.ID] != r {
			continue
		}
		r.letGo(f.cpus)
		if !r.Gone {
			r.Gone, r.since = true, time.Now()
		}
		gone = append(gone, r)
	}
	return gone
}

// forget drops the rows of programs that left long ago.
func (f *followed) forget() {
	f.rows = slices.DeleteFunc(f.rows, func(r *row) bool {
		old := r.Gone && time.Since(r.since) > KeepGone
		if old {
			f.dropped.add(r.passed)
		}
		return old
	})
}

// followDispatcher sets up the dispatcher's row. Its verdicts follow from those of
// its programs; only its time needs a probe, and that not where a lone program
// stands in its place.
func (f *followed) followDispatcher(c *dispatcher.Chain) {
	d := f.dispatcher
	if d != nil {
		d.letGo(f.cpus)
		d.Gone = c.Dispatcher == nil
	}
	if c.Dispatcher == nil {
		return
	}
	if d == nil {
		d = &row{}
		f.dispatcher = d
	}
	d.Program = Program{Loaded: *c.Dispatcher, Role: RoleDispatcher}
	if f.opts.Latency && len(c.Programs) > 1 {
		d.observe(0, true)
	}
}

// observe attaches a probe, or notes why there is none.
func (r *row) observe(actions dispatcher.Actions, latency bool) {
	programs := []string{"count"}
	if latency {
		programs = []string{"enter", "leave"}
	}
	config := struct{ Actions uint32 }{uint32(actions)}
	r.probe, r.Blind = attach("stats", config, r.Loaded, programs, nil)
	r.start = raw{}
}

// settle attributes what was counted since start, as the program's place is about
// to change.
func (r *row) settle(cpus int) {
	if r.probe == nil {
		return
	}
	now := r.probe.read(cpus)
	counts, times, passed := r.attribute(now)
	r.base.add(counts)
	r.times.add(times)
	r.passed.add(passed)
	r.start = now
}

// attribute says what the time since start adds to base, times and passed.
func (r *row) attribute(now raw) (Counts, Times, passed) {
	now.sub(r.start)
	var p passed
	counts, final := r.place.attribute(now)
	p.verdicts = final
	if r.place.alone {
		p.times = now.times
	}
	return counts, now.times, p
}

// letGo ends the row's probe and keeps what it counted.
func (r *row) letGo(cpus int) {
	if r.probe == nil {
		return
	}
	r.probe.detach()
	r.settle(cpus)
	r.base.Missed += r.probe.missed()
	r.probe.close()
	r.probe = nil
}

// snapshot is the row as it stands, and what it adds to the dispatcher's.
func (r *row) snapshot(opts Options, cpus int) (Program, passed) {
	p, times, decided := r.Program, r.times, r.passed
	p.Counts = r.base
	if r.probe != nil {
		c, t, d := r.attribute(r.probe.read(cpus))
		p.Counts.add(c)
		p.Missed += r.probe.missed()
		times.add(t)
		decided.add(d)
	}
	if opts.Latency && p.Blind == nil {
		p.Times = &times
	}
	return p, decided
}

func (f *followed) snapshot() Chain {
	f.forget()
	c := Chain{Interface: f.iface}
	total := f.dropped
	var blind error
	for _, r := range f.rows {
		p, decided := r.snapshot(f.opts, f.cpus)
		total.add(decided)
		if !p.Gone && p.Blind != nil {
			blind = &dispatcher.Error{Kind: dispatcher.ErrKernel, Err: p.Blind, Msg: "not all of its programs are observed"}
		}
		c.Programs = append(c.Programs, p)
	}
	if f.dispatcher == nil {
		return c
	}
	d, _ := f.dispatcher.snapshot(f.opts, f.cpus)
	d.Counts = Counts{Packets: total.verdicts.Sum(), Verdicts: total.verdicts, Decided: total.verdicts.Sum(), Missed: d.Missed}
	if d.Times != nil {
		d.Times.add(total.times)
	}
	if d.Blind == nil {
		d.Blind = blind
	}
	c.Programs = append([]Program{d}, c.Programs...)
	return c
}

func (f *followed) close() {
	for _, r := range f.rows {
		r.probe.close()
	}
	if f.dispatcher != nil {
		f.dispatcher.probe.close()
	}
}
