package observe

import "time"

// gap finds out how many packets nobody counted, because a swap had put a dispatcher on the
// interface that had no probe yet.
//
// No probe can be there before the swap. But the interface itself counts what it receives.
// gap knows both numbers, the interface's and ours, at a moment when nothing was uncounted.
// What the interface's number has grown by since then, and ours has not, is missing.
type gap struct {
	before pair // when nothing was missing
	open   bool // a swap came since
	loose  bool // it was ended while packets came: some that were under way may be missing
	found  uint64
	so     uint64 // found in the open gap so far; never too many
	opened time.Time

	last pair // of the last look, and since when the numbers are these
	from time.Time
}

// pair is what an interface has received and what of it was counted.
type pair struct{ received, counted uint64 }

// begin says that from now on everything is counted.
func (g *gap) begin(now pair) {
	g.end()
	g.before, g.last, g.from, g.loose = now, now, time.Now(), false
}

// swapped says that another program is on the interface.
func (g *gap) swapped() {
	if !g.open {
		g.open, g.opened = true, time.Now()
	}
}

// end closes the gap, with what was found in it.
func (g *gap) end() {
	g.found += g.so
	g.open, g.so = false, 0
}

// A driver adds up what it has received after it has run the program on it. So the two
// numbers are of the same packets once they have rested for the first of these times. If
// packets come without a pause, the gap ends after the second of them, without new numbers
// to start from. Afterwards it makes up only for what may have been under way.
const (
	rests   = 50 * time.Millisecond
	longest = 10 * time.Second

	// underWay is more packets than a driver has run the program on and not yet added up.
	underWay = 1024
)

// look takes in what the interface has received and, read later, what was counted.
func (g *gap) look(now pair) {
	received, counted := now.received-g.before.received, now.counted-g.before.counted
	if received > counted {
		switch missing := received - counted; {
		case g.open:
			g.so = max(g.so, missing)
		case g.loose:
			g.so = max(g.so, min(missing, underWay))
		}
	}
	if now != g.last {
		g.last, g.from = now, time.Now()
	}
	switch {
	case time.Since(g.from) >= rests:
		g.end()
		g.before, g.loose = now, false
	case g.open && time.Since(g.opened) > longest:
		g.before.counted -= g.so // what is missing is no longer asked for
		g.end()
		g.loose = true
	}
}

// missed are all packets that were found missing.
func (g *gap) missed() uint64 { return g.found + g.so }
