package observe

import (
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Snapshot is what has been counted up to a moment.
type Snapshot struct {
	Time   time.Time
	Chains []Chain // in the order of Open's names, or else as the interfaces came
}

// Chain is what was counted on one interface: the dispatcher first, then its
// component programs in the order they run, then those that have left the chain.
// A legacy program stands alone.
type Chain struct {
	Interface xdp.Interface
	Programs  []Program
	// Out is what became of all packets of the interface. It includes those of chains
	// and legacy programs that Programs doesn't name any more.
	Out Counts
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

// Program is what one program has done since it is observed. Its numbers never go down from
// one snapshot to the next.
type Program struct {
	xdp.Loaded
	Role     Role
	Priority uint32       // of a component
	Actions  *xdp.Actions // chain call actions of a component, else nil
	Gone     bool         // it has left the interface; snapshots name it for [KeepGone] longer
	Blind    error        // why the program isn't observed; nil if it is
	Counts
	Times *Times // nil without Options.Latency, or if the program isn't observed
}

// KeepGone is how long a program that has left its chain stays in snapshots.
const KeepGone = time.Minute

// Counts are numbers of packets.
type Counts struct {
	Packets  uint64
	Verdicts Verdicts
	HandedOn uint64   // another program or the dispatcher had the last word
	Decided  uint64   // this program's verdict became that of the chain
	Final    Verdicts // those of Decided
	Missed   uint64   // the program met them, and they are in no other number here
}

// place is what becomes of a program's verdict.
type place struct {
	actions xdp.Actions // chain call actions
	shift   uint        // how many bits of a verdict the dispatcher looks at
	last    bool        // of the chain: no program follows
	alone   bool        // in the dispatcher's own place, or legacy: every verdict is final
}

// handsOn says whether a verdict isn't the chain's. If the last program gives one of its chain
// call actions, whichever, the dispatcher itself says XDP_PASS.
func (p place) handsOn(v xdp.Verdict) bool {
	return !p.alone && p.isAction(uint(v)) && !(p.last && v == xdp.Pass)
}

// isAction says whether the dispatcher takes a number for one of the chain call actions.
// libxdp adds 31 to these, which is no verdict. The dispatcher shifts by the number, and a
// processor takes only the number's lowest bits.
func (p place) isAction(v uint) bool {
	return (uint64(p.actions)|1<<31)>>(v&(1<<p.shift-1))&1 != 0
}

// attribute turns a number of verdicts into counts.
func (p place) attribute(r raw) (c Counts) {
	c.Verdicts, c.Packets = r.verdicts, r.verdicts.Sum()
	for v, n := range r.verdicts[:Other] {
		if p.handsOn(xdp.Verdict(v)) {
			c.HandedOn += n
		} else {
			c.Final[v] = n
		}
	}
	var odd uint64
	if !p.alone {
		for v, n := range r.odd {
			if p.isAction(uint(v)) {
				odd += n
			}
		}
		odd = min(odd, r.verdicts[Other])
	}
	c.HandedOn += odd
	c.Final[Other] = r.verdicts[Other] - odd
	c.Decided = c.Final.Sum()
	return c
}

func (c *Counts) add(d Counts) {
	c.Packets += d.Packets
	c.Verdicts.add(d.Verdicts)
	c.HandedOn += d.HandedOn
	c.Decided += d.Decided
	c.Final.add(d.Final)
	c.Missed += d.Missed
}
