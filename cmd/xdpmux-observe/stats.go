package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func stats(c *cli.Context, out *output.Printer) error {
	interval, err := cmdline.ParseInterval(c.String("interval"))
	if err != nil {
		return err
	}
	count, err := cmdline.ParseCount(c)
	if err != nil {
		return err
	}
	ifnames, listen := cmdline.InterfaceArgs(c.Args().Slice()), c.IsSet("listen")
	if several(c.Bool("json"), c.Bool("prometheus"), listen, c.IsSet("svg")) || c.IsSet("count") && (listen || c.IsSet("svg")) {
		return cmdline.UsageError("--json, --prometheus, --listen and --svg exclude each other", "give one of them; --count goes with the table and --json")
	}
	if c.Bool("force") && !c.IsSet("svg") {
		return cmdline.UsageError("--force replaces a file, and none is written", "it goes with --svg")
	}
	opts := observe.Options{Latency: c.Bool("latency")}
	if listen {
		return export(c.Context, out, c.String("listen"), ifnames, opts)
	}
	o, err := observe.Open(c.Context, ifnames, opts)
	if err != nil {
		return err
	}
	defer o.Close()
	if c.Bool("prometheus") {
		cmdline.Wait(c.Context, time.After(interval))
		return writeMetrics(out.Stdout, o.Read())
	}
	if c.IsSet("svg") {
		before := o.Read()
		cmdline.Wait(c.Context, time.After(interval))
		return writePicture(out, statsOf(before, o.Read()), c.String("svg"), c.Bool("force"))
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	before := o.Read()
	for n := uint(0); count == 0 || n < count; n++ {
		if !cmdline.Wait(c.Context, ticker.C) {
			return nil
		}
		now := o.Read()
		if c.Bool("json") {
			err = output.NewJSON(out.Stdout).Encode(statsOf(before, now))
		} else {
			err = renderStats(out.Stdout, statsOf(before, now), opts)
		}
		if err != nil {
			return err
		}
		before = now
	}
	return nil
}

// several says whether more than one of them is true.
func several(all ...bool) bool {
	n := 0
	for _, one := range all {
		if one {
			n++
		}
	}
	return n > 1
}

// statsJSON is the shape of a line of stats --json.
type statsJSON struct {
	Time    time.Time    `json:"time"`
	Seconds float64      `json:"seconds"` // since the report before: what the rates are over
	Chains  []chainStats `json:"chains"`
}

type chainStats struct {
	Interface xdp.Interface  `json:"interface"`
	Programs  []programStats `json:"programs"` // the dispatcher first, those that left last
}

type programStats struct {
	xdp.Loaded
	Role        observe.Role            `json:"role"`
	Priority    *uint32                 `json:"priority,omitempty"`
	Actions     *xdp.Actions            `json:"actions,omitempty"`
	Gone        bool                    `json:"gone"`                   // left the chain
	NotObserved string                  `json:"not_observed,omitempty"` // the reason
	Packets     uint64                  `json:"packets"`
	PerSecond   float64                 `json:"packets_per_second"`
	Verdicts    map[string]verdictStats `json:"verdicts"`
	HandedOn    uint64                  `json:"handed_on"`
	Decided     uint64                  `json:"decided"`
	Missed      uint64                  `json:"missed"` // packets at most that it met and that are in no other number
	Latency     *latencyStats           `json:"latency,omitempty"`
}

type verdictStats struct {
	Packets          uint64  `json:"packets"`
	PerSecond        float64 `json:"packets_per_second"`
	Decided          uint64  `json:"decided"` // of Packets, those whose chain ended with the verdict
	DecidedPerSecond float64 `json:"decided_per_second"`
}

type latencyStats struct {
	Packets uint64 `json:"packets"` // whose time was taken
	MeanNS  int64  `json:"mean_ns"`
	P50NS   int64  `json:"p50_ns"`
	P90NS   int64  `json:"p90_ns"`
	P99NS   int64  `json:"p99_ns"`
	MaxNS   int64  `json:"max_ns"`
}

// statsOf adds the rates between two snapshots to the second.
func statsOf(before, now *observe.Snapshot) statsJSON {
	seconds := now.Time.Sub(before.Time).Seconds()
	s := statsJSON{Time: now.Time, Seconds: seconds, Chains: make([]chainStats, len(now.Chains))}
	for i, c := range now.Chains {
		s.Chains[i] = chainStats{Interface: c.Interface, Programs: []programStats{}}
		for _, p := range c.Programs {
			s.Chains[i].Programs = append(s.Chains[i].Programs, programStatsOf(findProgram(before.Chains, c.Interface, p), p, seconds))
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

func programStatsOf(before, now observe.Program, seconds float64) programStats {
	rate := func(before, now uint64) float64 {
		if seconds <= 0 {
			return 0
		}
		return float64(now-before) / seconds
	}
	s := programStats{
		Loaded: now.Loaded, Role: now.Role, Actions: now.Actions, Gone: now.Gone,
		Packets: now.Packets, PerSecond: rate(before.Packets, now.Packets),
		Verdicts: map[string]verdictStats{},
		HandedOn: now.HandedOn, Decided: now.Decided, Missed: now.Missed,
	}
	if now.Role == observe.RoleComponent {
		s.Priority = &now.Priority
	}
	if now.Blind != nil {
		s.NotObserved = now.Blind.Error()
	}
	for v, name := range observe.VerdictNames() {
		s.Verdicts[name] = verdictStats{
			now.Verdicts[v], rate(before.Verdicts[v], now.Verdicts[v]), now.Final[v], rate(before.Final[v], now.Final[v])}
	}
	if t := now.Times; t != nil {
		s.Latency = &latencyStats{t.Packets, t.Mean().Nanoseconds(), t.Quantile(.5).Nanoseconds(), t.Quantile(.9).Nanoseconds(), t.Quantile(.99).Nanoseconds(), t.Max.Nanoseconds()}
	}
	return s
}

// renderStats prints a table for each chain: a line for each program, and below it
// one for every verdict that it has given.
func renderStats(w io.Writer, s statsJSON, opts observe.Options) error {
	if len(s.Chains) == 0 {
		_, err := fmt.Fprintf(w, "no XDP program on any interface at %s\n\n", s.Time.Format(time.TimeOnly))
		return err
	}
	for _, c := range s.Chains {
		fmt.Fprintf(w, "%s at %s\n", output.Shown(c.Interface.Name), s.Time.Format(time.TimeOnly))
		if err := renderChainStats(w, c, opts); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	return nil
}

func renderChainStats(w io.Writer, c chainStats, opts observe.Options) error {
	// The columns are aligned to the right, which is for numbers. Names are filled up.
	width := len("  XDP_REDIRECT")
	for _, p := range c.Programs {
		width = max(width, utf8.RuneCountInString(shownName(p)))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	columns := 4
	if opts.Latency {
		columns = 9
	}
	row := func(prio, id, name string, cells ...string) {
		cells = append(cells, make([]string, columns-len(cells))...)
		fmt.Fprintf(t, "%s\t%s\t  %-*s\t%s\t\n", prio, id, width, name, strings.Join(cells, "\t"))
	}
	head := []string{"Packets", "Packets/s", "Handed on", "Decided", "Mean ns", "p50", "p90", "p99", "Max"}
	row("Prio", "ID", "Program", head[:columns]...)
	for _, p := range c.Programs {
		prio, id, name := "", strconv.FormatUint(uint64(p.ID), 10), shownName(p)
		if p.Priority != nil {
			prio = strconv.FormatUint(uint64(*p.Priority), 10)
		}
		if p.NotObserved != "" {
			row(prio, id, name)
			fmt.Fprintf(t, "\t\t    not observed: %s\n", output.Shown(p.NotObserved))
			continue
		}
		row(prio, id, name, p.cells()...)
		for _, verdict := range observe.VerdictNames() {
			if v := p.Verdicts[verdict]; v.Packets > 0 {
				row("", "", "  "+verdict, fmt.Sprint(v.Packets), fmt.Sprintf("%.1f", v.PerSecond))
			}
		}
		if p.Missed > 0 {
			row("", "", "  missed", fmt.Sprint(p.Missed))
		}
	}
	return t.Flush()
}

func shownName(p programStats) string {
	if p.Gone {
		return output.Shown(p.Name) + " (gone)"
	}
	return output.Shown(p.Name)
}

func (p programStats) cells() []string {
	cells := []string{fmt.Sprint(p.Packets), fmt.Sprintf("%.1f", p.PerSecond), fmt.Sprint(p.HandedOn), fmt.Sprint(p.Decided)}
	if l := p.Latency; l != nil {
		for _, ns := range []int64{l.MeanNS, l.P50NS, l.P90NS, l.P99NS, l.MaxNS} {
			cells = append(cells, fmt.Sprint(ns))
		}
	}
	return cells
}
