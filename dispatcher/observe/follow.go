package observe

import (
	"context"
	"slices"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// followed is one interface whose chain is followed.
type followed struct {
	iface    xdp.Interface
	chain    *dispatcher.Chain // as it was last read
	counters *counters
	all      *int  // how many interfaces are followed
	lower    []int // the interfaces that packets come in on: itself and, of a bond, its members

	mainID     uint32 // of the program on the interface when it was last read
	emptied    bool   // no program was there since
	vanished   bool   // the interface was gone when it was last looked at
	dispatcher *row   // nil if there never was one
	rows       []*row // component, legacy and hardware programs; those that left stand last
	dropped    passed // through rows that are forgotten
	left       Counts // what legacy programs counted whose rows are forgotten
	gap        gap
	triedAgain time.Time // for the programs that can't be observed
}

func newFollowed(iface xdp.Interface, lower []int, counters *counters, all *int) *followed {
	return &followed{iface: iface, lower: append([]int{iface.Index}, lower...), counters: counters, all: all}
}

// refresh looks whether another program is on the interface, and if so follows that. It
// returns false if the chain couldn't be read because others are changing it.
func (f *followed) refresh() bool {
	s, err := lookAt(f.iface.Index)
	f.vanished = err == nil && s.name == ""
	if s.name != "" {
		f.iface.Name = s.name
	}
	switch {
	case err != nil:
		return false
	case s.mainID == f.mainID:
		f.emptied = false
		f.tryAgain()
		if s.mainID != 0 {
			f.gap.look(pair{s.received, f.packets()})
			f.gapEnded()
		}
		return true
	}
	c := &dispatcher.Chain{Interface: f.iface}
	if s.mainID != 0 {
		if c, err = dispatcher.Status(context.Background(), f.iface.Name); err != nil || main(c) == nil {
			return false
		}
	}
	begin(f.follow(c))
	f.followed()
	return true
}

// packets is how many were counted as they left the interface's program, or were left out by
// the kernel.
func (f *followed) packets() uint64 {
	total, missed := f.whole()
	for _, r := range f.rows {
		if r.Role == RoleLegacy {
			p, _ := r.snapshot(false)
			missed += p.Packets + p.Missed
		}
	}
	return total.verdicts.Sum() + missed
}

func (f *followed) gapEnded() {
	for _, r := range f.rows {
		r.ended(&f.gap)
	}
}

// follow observes what c holds. It returns the slots that the caller has to begin with; after
// that the caller calls followed.
func (f *followed) follow(c *dispatcher.Chain) [][]slot {
	f.chain = c
	m := main(c)
	if f.mainID != 0 && m != nil && !f.emptied {
		f.gap.swapped()
	} else {
		f.gap.end()
		f.gapEnded()
	}
	f.mainID, f.emptied = 0, false
	if m != nil {
		f.mainID = m.ID
	}
	shift := uint(oddBits)
	if c.Dispatcher != nil {
		shift = shiftOf(c)
	}
	old := map[uint32]*row{}
	for _, r := range f.rows {
		r.settle()
		old[r.ID] = r
	}
	var rows []*row
	var opening []slot
	enter := func(p Program, at place) {
		r := old[p.ID]
		delete(old, p.ID)
		if r == nil {
			r = &row{joined: f.gap.missed(), late: f.gap.open}
		}
		p.Blind = r.Blind
		r.Program, r.place = p, at
		switch {
		case r.seen != nil:
			r.seen.counter.in = c
		case p.Role != RoleHardware:
			opening = append(opening, r.observe(f)...)
		}
		rows = append(rows, r)
	}
	for i, p := range c.Programs {
		enter(Program{Loaded: p.Loaded, Role: RoleComponent, Priority: p.Priority, Actions: &p.Actions},
			place{actions: p.Actions, shift: shift, last: i == len(c.Programs)-1, alone: len(c.Programs) == 1})
	}
	if c.Legacy != nil {
		enter(Program{Loaded: *c.Legacy, Role: RoleLegacy}, place{alone: true})
	}
	if c.Hardware != nil {
		enter(Program{Loaded: *c.Hardware, Role: RoleHardware}, place{alone: true})
		rows[len(rows)-1].Blind = &xdp.Error{Kind: xdp.ErrModeNotSupported, Msg: "the program runs on the device, where the kernel can't count"}
	}
	f.rows = append(rows, f.leave(old)...)
	opening = append(opening, f.followDispatcher(c)...)
	if len(opening) == 0 {
		return nil
	}
	return [][]slot{opening}
}

// followed lets go of programs that aren't in the chain any more, once the packets in them
// have left.
func (f *followed) followed() {
	var leaving []*row
	for _, r := range f.rows {
		if r.Gone && r.seen != nil {
			leaving = append(leaving, r)
		}
	}
	if d := f.dispatcher; len(leaving) > 0 || d != nil && d.before != nil {
		loaded.WaitForPackets()
		for _, r := range leaving {
			r.letGo()
		}
		if d != nil {
			d.letGoBefore()
		}
	}
	counted := f.packets()
	s, err := lookAt(f.iface.Index)
	switch {
	case err != nil || s.mainID == 0:
	case f.gap.open: // it may be Read that has noticed the swap, and tells what is missing so far
		f.gap.look(pair{s.received, f.packets()})
	default:
		f.gap.begin(pair{s.received, counted})
	}
}

// leave marks the rows of programs that are not in the chain any more.
func (f *followed) leave(old map[uint32]*row) []*row {
	var gone []*row
	for _, r := range f.rows { // not over the map, to keep their order
		if old[r.ID] != r {
			continue
		}
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
		old := r.Gone && r.seen == nil && time.Since(r.since) > KeepGone
		if old {
			f.dropped.add(r.passed)
			f.forgotten(r)
		}
		return old
	})
}

// followDispatcher sets up the dispatcher's row, which counts what leaves the dispatcher. If
// a lone program stands in the dispatcher's place, the kernel takes no probe there; then the
// program's own row counts.
func (f *followed) followDispatcher(c *dispatcher.Chain) []slot {
	d := f.dispatcher
	if d != nil {
		d.settle()
		d.before, d.seen = d.seen, nil
		d.Gone = c.Dispatcher == nil
	}
	if c.Dispatcher == nil {
		return nil
	}
	if d == nil {
		d = &row{}
		f.dispatcher = d
	}
	d.Program, d.place = Program{Loaded: *c.Dispatcher, Role: RoleDispatcher}, place{alone: true}
	if len(c.Programs) == 1 {
		return nil
	}
	return d.observe(f)
}

// tryAgain tries to observe programs that couldn't be observed, if the reason may have gone.
func (f *followed) tryAgain() {
	rows := f.rows
	if f.dispatcher != nil {
		rows = append(slices.Clone(rows), f.dispatcher)
	}
	rows = slices.DeleteFunc(slices.Clone(rows), func(r *row) bool { return r.Gone || r.Blind == nil || !passing(r.Blind) })
	if len(rows) == 0 || time.Since(f.triedAgain) < time.Second {
		return
	}
	f.triedAgain = time.Now()
	var opening []slot
	for _, r := range rows {
		opening = append(opening, r.observe(f)...)
	}
	if len(opening) > 0 {
		begin([][]slot{opening})
	}
}

// whole is what became of all packets that the dispatcher, or a lone program in its place,
// let out. missed is how many of them the kernel left out.
func (f *followed) whole() (total passed, missed uint64) {
	total = f.dropped
	for _, r := range f.rows {
		if r.Role != RoleComponent {
			continue
		}
		p, decided := r.snapshot(f.counters.latency)
		total.add(decided)
		if r.place.alone {
			missed += p.Missed
		}
	}
	if d := f.dispatcher; d != nil {
		p, _ := d.snapshot(f.counters.latency)
		total.verdicts.add(p.Verdicts)
		missed += p.Missed
		if p.Times != nil {
			total.times.add(*p.Times)
		}
	}
	return total, missed
}

func (f *followed) snapshot() Chain {
	f.forget()
	c := Chain{Interface: f.iface}
	var blind error
	for _, r := range f.rows {
		p, _ := r.snapshot(f.counters.latency)
		p.Missed += r.missedBefore(&f.gap)
		if !p.Gone && p.Blind != nil {
			blind = &xdp.Error{Kind: xdp.ErrKernel, Err: p.Blind, Msg: "not all of its programs are observed"}
		}
		c.Programs = append(c.Programs, p)
	}
	if f.dispatcher == nil {
		return c
	}
	total, missed := f.whole()
	d := f.dispatcher.Program
	d.Counts = Counts{Packets: total.verdicts.Sum(), Verdicts: total.verdicts, Decided: total.verdicts.Sum(), Final: total.verdicts, Missed: missed + f.gap.missed()}
	if f.counters.latency && d.Blind == nil {
		d.Times = &total.times
	}
	if d.Blind == nil {
		d.Blind = blind
	}
	c.Programs = append([]Program{d}, c.Programs...)
	return c
}

func (f *followed) close() {
	for _, r := range f.rows {
		r.seen.close()
	}
	if d := f.dispatcher; d != nil {
		d.seen.close()
		d.before.close()
	}
}
