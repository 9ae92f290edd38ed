// Package rates has the counters of two readings, and the rates between them, as they are printed.
package rates

import (
	"time"

	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Report is what two readings have brought, as a line of stats --json has it.
type Report struct {
	Time    time.Time `json:"time"`
	Seconds float64   `json:"seconds"` // since the report before: what the rates are over
	Chains  []Chain   `json:"chains"`
}

type Chain struct {
	Interface xdp.Interface `json:"interface"`
	Programs  []Program     `json:"programs"` // the dispatcher first, those that left last
}

type Program struct {
	xdp.Loaded
	Role        observe.Role       `json:"role"`
	Priority    *uint32            `json:"priority,omitempty"`
	Actions     *xdp.Actions       `json:"actions,omitempty"`
	Gone        bool               `json:"gone"`                   // left the chain
	NotObserved string             `json:"not_observed,omitempty"` // the reason
	Packets     uint64             `json:"packets"`
	PerSecond   float64            `json:"packets_per_second"`
	Verdicts    map[string]Verdict `json:"verdicts"`
	HandedOn    uint64             `json:"handed_on"`
	Decided     uint64             `json:"decided"`
	Missed      uint64             `json:"missed"` // packets at most that it met and that are in no other number
	Latency     *Latency           `json:"latency,omitempty"`
}

type Verdict struct {
	Packets          uint64  `json:"packets"`
	PerSecond        float64 `json:"packets_per_second"`
	Decided          uint64  `json:"decided"` // of Packets, those whose chain ended with the verdict
	DecidedPerSecond float64 `json:"decided_per_second"`
}

type Latency struct {
	Packets uint64 `json:"packets"` // whose time was taken
	MeanNS  int64  `json:"mean_ns"`
	P50NS   int64  `json:"p50_ns"`
	P90NS   int64  `json:"p90_ns"`
	P99NS   int64  `json:"p99_ns"`
	MaxNS   int64  `json:"max_ns"`
}

// Of adds the rates between two snapshots to the second.
func Of(before, now *observe.Snapshot) Report {
	seconds := now.Time.Sub(before.Time).Seconds()
	s := Report{Time: now.Time, Seconds: seconds, Chains: make([]Chain, len(now.Chains))}
	for i, c := range now.Chains {
		s.Chains[i] = Chain{Interface: c.Interface, Programs: []Program{}}
		for _, p := range c.Programs {
			s.Chains[i].Programs = append(s.Chains[i].Programs, programOf(findProgram(before.Chains, c.Interface, p), p, seconds))
		}
	}
	return s
}

// findProgram is what p was in an earlier snapshot. It is the zero Program if p is new. A
// dispatcher is the same row as the one before it, whatever its id.
func findProgram(chains []observe.Chain, on xdp.Interface, p observe.Program) observe.Program {
	for _, c := range chains {
		if c.Interface.Index != on.Index {
			continue
		}
		for _, q := range c.Programs {
			if p.Role == q.Role && (p.ID == q.ID || p.Role == observe.RoleDispatcher) {
				return q
			}
		}
	}
	return observe.Program{}
}

func programOf(before, now observe.Program, seconds float64) Program {
	rate := func(before, now uint64) float64 {
		if seconds <= 0 {
			return 0
		}
		return float64(now-before) / seconds
	}
	s := Program{
		Loaded: now.Loaded, Role: now.Role, Actions: now.Actions, Gone: now.Gone,
		Packets: now.Packets, PerSecond: rate(before.Packets, now.Packets),
		Verdicts: map[string]Verdict{},
		HandedOn: now.HandedOn, Decided: now.Decided, Missed: now.Missed,
	}
	if now.Role == observe.RoleComponent {
		s.Priority = &now.Priority
	}
	if now.Blind != nil {
		s.NotObserved = now.Blind.Error()
	}
	for v, name := range observe.VerdictNames() {
		s.Verdicts[name] = Verdict{
			now.Verdicts[v], rate(before.Verdicts[v], now.Verdicts[v]), now.Final[v], rate(before.Final[v], now.Final[v])}
	}
	if t := now.Times; t != nil {
		s.Latency = &Latency{t.Packets, t.Mean().Nanoseconds(), t.Quantile(.5).Nanoseconds(), t.Quantile(.9).Nanoseconds(), t.Quantile(.99).Nanoseconds(), t.Max.Nanoseconds()}
	}
	return s
}

// Shown is the name as a terminal or a page can have it.
func (p Program) Shown() string {
	if p.Gone {
		return output.Shown(p.Name) + " (gone)"
	}
	return output.Shown(p.Name)
}
