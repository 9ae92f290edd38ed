package observe

import "time"

// passed is what a lone program decided, and so adds to the dispatcher's row.
type passed struct {
	verdicts Verdicts
	times    Times // of runs in the dispatcher's own place
}

func (p *passed) add(q passed) {
	p.verdicts.add(q.verdicts)
	p.times.add(q.times)
}

// row is what one program has done so far on one interface. What a verdict means depends on
// the program's place, which may change. So counts are attributed piece by piece: base,
// times and passed hold what was counted before seen.start.
type row struct {
	Program // what doesn't change while it stays in its place
	place   place
	seen    *seen     // nil: not observed
	before  *seen     // of a dispatcher that was swapped: packets may still be in it
	since   time.Time // when it left

	base   Counts
	times  Times
	passed passed

	// late says that the program joined by the swap whose gap is open. joined is what
	// was missed before that.
	late   bool
	joined uint64
}

// seen is what a probe counts for a row.
type seen struct {
	counter *counter
	slots   []slot
	start   raw    // counted before
	missed  uint64 // left out before
	err     error  // why it could not be read; nil if it could
}

// read is what was counted up to now. If that can't be read, it is what was counted at the
// start.
func (s *seen) read() raw {
	var r raw
	for _, slot := range s.slots {
		if s.err = slot.read(&r); s.err != nil {
			return s.start
		}
	}
	return r
}

// leftOut is how many runs the kernel has left out since the probe stands.
func (s *seen) leftOut() uint64 {
	n, err := s.counter.missed()
	if err != nil {
		s.err = err
		return 0
	}
	return n - s.missed
}

// close lets go of the probe.
func (s *seen) close() {
	if s == nil {
		return
	}
	for _, slot := range s.slots {
		slot.free()
	}
	s.counter.put()
}

// observe gets the program a probe and returns that one's slots, or notes why there is none.
func (r *row) observe(f *followed) []slot {
	var c *counter
	interfaces := f.lower
	if r.Role == RoleDispatcher {
		interfaces = f.lower[:1]
		c, r.Blind = f.counters.ofDispatcher(f.chain, r.Loaded)
	} else {
		c, r.Blind = f.counters.get(f.chain, r.Loaded, *f.all)
	}
	if r.Blind != nil {
		return nil
	}
	r.seen = &seen{counter: c}
	r.seen.missed = r.seen.leftOut()
	for _, index := range interfaces {
		s, err := c.slot(index)
		if err != nil {
			r.seen.close()
			r.seen, r.Blind = nil, err
			return nil
		}
		r.seen.slots = append(r.seen.slots, s)
	}
	return r.seen.slots
}

// settle attributes what was counted since start. It is called before the program's place
// changes.
func (r *row) settle() {
	if r.seen == nil {
		return
	}
	now := r.seen.read()
	r.add(r.seen, now)
	r.seen.start = now
}

// add attributes what s counted.
func (r *row) add(s *seen, now raw) {
	counts, times, passed := r.attribute(s, now)
	r.base.add(counts)
	r.times.add(times)
	r.passed.add(passed)
}

// attribute says what the packets since start add to base, times and passed.
func (r *row) attribute(s *seen, now raw) (Counts, Times, passed) {
	now.sub(s.start)
	var p passed
	if r.place.alone && r.Role == RoleComponent {
		p = passed{now.verdicts, now.times}
	}
	return r.place.attribute(now), now.times, p
}

// letGo ends the row's probe and keeps what it counted.
func (r *row) letGo() {
	r.settle()
	r.base.Missed += r.seen.leftOut()
	r.seen.close()
	r.seen = nil
}

// letGoBefore does the same for the dispatcher before.
func (r *row) letGoBefore() {
	if r.before == nil {
		return
	}
	r.add(r.before, r.before.read())
	r.base.Missed += r.before.leftOut()
	r.before.close()
	r.before = nil
}

// snapshot is the row as it stands, and what it adds to the dispatcher's.
func (r *row) snapshot(latency bool) (Program, passed) {
	p, times, decided := r.Program, r.times, r.passed
	p.Counts = r.base
	if r.seen != nil {
		c, t, d := r.attribute(r.seen, r.seen.read())
		p.Counts.add(c)
		p.Missed += r.seen.leftOut()
		times.add(t)
		decided.add(d)
		if r.seen.err != nil {
			p.Blind = explain(r.Loaded, r.seen.err)
		}
	}
	if latency && p.Blind == nil {
		p.Times = &times
	}
	return p, decided
}

// missedBefore is how many packets may have met the program before its probe, if it
// joined by a swap.
func (r *row) missedBefore(g *gap) uint64 {
	if !r.late {
		return 0
	}
	return g.missed() - r.joined
}

// ended keeps that number, once the gap has ended and the number is known.
func (r *row) ended(g *gap) {
	if r.late && !g.open && !g.loose {
		r.base.Missed += r.missedBefore(g)
		r.late = false
	}
}
