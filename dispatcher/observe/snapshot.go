package observe

import (
	"time"

	"github.com/xdpmux/xdpmux/dispatcher"
)

// Snapshot is what has been counted up to a moment.
type Snapshot struct {
	Time   time.Time
	Chains []Chain // as the interfaces stand in the call of Open
}

// Chain is what was counted on one interface: the dispatcher first, then its
// component programs in the order they run, then those that have left the chain.
// A legacy program stands alone.
type Chain struct {
	Interface dispatcher.Interface
	Programs  []Program
}

// Role is what a program is on its interface.
type Role string

// The roles.
const (
	RoleDispatcher Role = "dispatcher"
	RoleComponent  Role = "component"
	RoleLegacy     Role = "legacy"   // attached without a dispatcher
	RoleHardware   Role = "hardware" // runs on the device, unseen by the kernel
)

// Program is what one program has done since it is observed. No number in it ever
// goes down from one snapshot to the next.
type Program struct {
	dispatcher.Loaded
	Role     Role
	Priority uint32              // of a component
	Actions  *dispatcher.Actions // chain call actions of a component, else nil
	Gone     bool                // no longer on the interface; named for [KeepGone] longer
	Blind    error               // why the program isn't observed; nil: it is
	Counts
	Times *Times // with Options.Latency, where the program is observed
}

// KeepGone is how long a program that has left its chain stays in snapshots.
const KeepGone = time.Minute

// Counts are numbers of packets.
type Counts struct {
	Packets  uint64
	Verdicts Verdicts
	HandedOn uint64 // whose verdict was not the last word
	Decided  uint64 // whose verdict became that of the chain
	Missed   uint64 // runs the kernel left out of the counts
}

// place is what becomes of a program's verdict.
type place struct {
	actions dispatcher.Actions // chain call actions
	last    bool               // of the chain: no program follows
	alone   bool               // in the dispatcher's own place, or legacy: every verdict is final
}

// handsOn says whether a verdict isn't the chain's. After the last program the
// dispatcher itself says XDP_PASS, whatever of its chain call actions that gave.
func (p place) handsOn(v dispatcher.Verdict) bool {
	return !p.alone && p.actions.Has(v) && !(p.last && v == dispatcher.Pass)
}

// attribute turns a number of verdicts into counts, and says what they add to the
// verdicts of the chain.
func (p place) attribute(r raw) (c Counts, final Verdicts) {
	c.Verdicts, c.Packets = r.verdicts, r.verdicts.Sum()
	for v, n := range r.verdicts {
		on := uint64(0)
		switch {
		case v == Other && !p.alone:
			on = r.otherOn
		case v != Other && p.handsOn(dispatcher.Verdict(v)):
			on = n
		}
		c.HandedOn += on
		final[v] += n - on
		if p.last {
			final[dispatcher.Pass] += on
		}
	}
	c.Decided = c.Packets - c.HandedOn
	return c, final
}

func (c *Counts) add(d Counts) {
	c.Packets += d.Packets
	c.Verdicts.add(d.Verdicts)
	c.HandedOn += d.HandedOn
	c.Decided += d.Decided
	c.Missed += d.Missed
}
