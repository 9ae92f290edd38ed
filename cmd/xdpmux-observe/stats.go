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
	"github.com/xdpmux/xdpmux/cmd/internal/exporter"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/cmd/internal/rates"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
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
		return exporter.WriteMetrics(out.Stdout, o.Read())
	}
	if c.IsSet("svg") {
		before := o.Read()
		cmdline.Wait(c.Context, time.After(interval))
		return writePicture(out, rates.Of(before, o.Read()), c.String("svg"), c.Bool("force"))
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
			err = output.NewJSON(out.Stdout).Encode(rates.Of(before, now))
		} else {
			err = renderStats(out.Stdout, rates.Of(before, now), opts)
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

// renderStats prints a table for each chain: a line for each program, and below it
// one for every verdict that it has given.
func renderStats(w io.Writer, s rates.Report, opts observe.Options) error {
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

func renderChainStats(w io.Writer, c rates.Chain, opts observe.Options) error {
	// The columns are aligned to the right, which is for numbers. Names are filled up.
	width := len("  XDP_REDIRECT")
	for _, p := range c.Programs {
		width = max(width, utf8.RuneCountInString(p.Shown()))
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
		prio, id, name := "", strconv.FormatUint(uint64(p.ID), 10), p.Shown()
		if p.Priority != nil {
			prio = strconv.FormatUint(uint64(*p.Priority), 10)
		}
		if p.NotObserved != "" {
			row(prio, id, name)
			fmt.Fprintf(t, "\t\t    not observed: %s\n", output.Shown(p.NotObserved))
			continue
		}
		row(prio, id, name, cells(p)...)
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

func cells(p rates.Program) []string {
	all := []string{fmt.Sprint(p.Packets), fmt.Sprintf("%.1f", p.PerSecond), fmt.Sprint(p.HandedOn), fmt.Sprint(p.Decided)}
	if l := p.Latency; l != nil {
		for _, ns := range []int64{l.MeanNS, l.P50NS, l.P90NS, l.P99NS, l.MaxNS} {
			all = append(all, fmt.Sprint(ns))
		}
	}
	return all
}
