//go:build !lean

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
)

func trace(c *cli.Context, out *output) error {
	const usage = "xdpmux trace <ifname> (--pcap FILE | --live) [options]"
	switch {
	case c.NArg() != 1:
		return usageError("trace needs one interface", usage)
	case c.IsSet("pcap") == c.Bool("live"):
		return usageError("trace needs one of --pcap and --live", usage)
	}
	only := map[bool][]string{true: {"out"}, false: {"count", "verdict", "program", "sample", "write"}}
	for _, name := range only[c.Bool("live")] {
		if c.IsSet(name) {
			return usageError(fmt.Sprintf("--%s doesn't go with this kind of trace", name), "xdpmux trace --help lists the options")
		}
	}
	if c.Bool("live") {
		return traceLive(c, out)
	}
	return tracePcap(c, out)
}

// replayNote says where a test run is not the wire.
const replayNote = "by test run: packets come in on receive queue 0, XDP_TX and XDP_REDIRECT send nothing, XDP_PASS reaches no stack; the programs' maps really change"

func tracePcap(c *cli.Context, out *output) (err error) {
	r, err := observe.OpenReplay(c.Context, c.Args().First())
	if err != nil {
		return err
	}
	defer r.Close()
	// All packets are looked at before the first one runs: the programs' maps
	// change, so a fault in the middle would leave half a replay behind.
	if err := checkCapture(c.String("pcap"), r.MaxLen()); err != nil {
		return err
	}
	var files *verdictFiles
	if c.IsSet("out") {
		if files, err = newVerdictFiles(c.String("out")); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, files.close()) }()
	}
	w := bufio.NewWriter(out.stdout)
	defer func() { err = errors.Join(err, w.Flush()) }()
	p := newTracePrinter(w, c.Bool("json"), r.Programs())
	fmt.Fprintln(out.stderr, "xdpmux: "+replayNote)
	// What a packet takes is garbage at once, and the heap is small: collecting it
	// as often as Go would costs a third of the time.
	defer debug.SetGCPercent(debug.SetGCPercent(1000))
	file, err := openCapture(c.String("pcap"))
	if err != nil {
		return err
	}
	defer file.close()
	err = eachSummarized(file, func(data []byte, at time.Time, summary string) error {
		if err := c.Context.Err(); err != nil {
			return err
		}
		t, err := r.Run(data)
		if err != nil {
			return err
		}
		t.Time = at
		if files != nil {
			if err := files.write(verdictName(t.Verdict), t.Time, t.Data, t.Length); err != nil {
				return err
			}
		}
		return p.print(t, summary, len(data))
	})
	if err != nil && c.Context.Err() == nil {
		return err
	}
	return p.totals()
}

// eachSummarized calls f with every packet and its summary, which another
// goroutine makes meanwhile: that takes as long as the packet's way.
func eachSummarized(file *capture, f func(data []byte, at time.Time, summary string) error) error {
	type packet struct {
		data    []byte
		at      time.Time
		summary string
	}
	packets, stop := make(chan packet, 256), make(chan struct{})
	var readErr error
	go func() {
		defer close(packets)
		readErr = file.each(func(_ int, data []byte, info gopacket.CaptureInfo) error {
			select {
			case packets <- packet{data, info.Timestamp, summary(data)}:
				return nil
			case <-stop:
				return io.EOF
			}
		})
	}()
	var err error
	for p := range packets {
		if err = f(p.data, p.at, p.summary); err != nil {
			break
		}
	}
	close(stop)
	for range packets { // until the reader has ended
	}
	if err != nil {
		return err
	}
	return readErr
}

func checkCapture(name string, maxLen int) error {
	file, err := openCapture(name)
	if err != nil {
		return err
	}
	defer file.close()
	return file.each(func(n int, data []byte, _ gopacket.CaptureInfo) error {
		if len(data) < observe.MinLen || len(data) > maxLen {
			return &dispatcher.Error{Kind: dispatcher.ErrInvalid,
				Msg:    fmt.Sprintf("packet %d of %s has %d bytes, and a test run of this chain takes %d to %d", n, name, len(data), observe.MinLen, maxLen),
				Remedy: "leave it out of the capture; a chain whose programs all have frags support takes longer ones"}
		}
		return nil
	})
}

// verdictName is the name of what may be no verdict.
func verdictName(v dispatcher.Verdict) string {
	return observe.VerdictNames()[min(int(v), observe.Other)]
}

// traceJSON is the shape of a line of trace --json.
type traceJSON struct {
	Packet    int        `json:"packet"` // from 1
	Time      time.Time  `json:"time"`
	Length    int        `json:"length"`
	Summary   string     `json:"summary"`
	Steps     []stepJSON `json:"steps"`
	Verdict   string     `json:"verdict"`
	DecidedBy *stepJSON  `json:"decided_by"` // null: the dispatcher, after the last program handed on
}

type stepJSON struct {
	ID      uint32 `json:"id"`
	Name    string `json:"name"`
	Verdict string `json:"verdict"`
}

// tracePrinter prints packets, and keeps the totals.
type tracePrinter struct {
	w        io.Writer
	json     bool
	packets  int
	programs []*traceTotal
	chain    traceTotal
	line     []byte // reused
}

type traceTotal struct {
	dispatcher.Loaded
	verdicts observe.Verdicts
	decided  uint64
}

func newTracePrinter(w io.Writer, json bool, programs []dispatcher.Loaded) *tracePrinter {
	p := &tracePrinter{w: w, json: json, chain: traceTotal{Loaded: dispatcher.Loaded{Name: "chain"}}}
	for _, loaded := range programs {
		p.programs = append(p.programs, &traceTotal{Loaded: loaded})
	}
	return p
}

func (p *tracePrinter) total(l dispatcher.Loaded) *traceTotal {
	for _, t := range p.programs {
		if t.ID == l.ID {
			return t
		}
	}
	p.programs = append(p.programs, &traceTotal{Loaded: l})
	return p.programs[len(p.programs)-1]
}

func (p *tracePrinter) print(t *observe.Trace, summary string, length int) error {
	p.packets++
	p.chain.verdicts[min(int(t.Verdict), observe.Other)]++
	for _, step := range t.Steps {
		p.total(step.Loaded).verdicts[min(int(step.Verdict), observe.Other)]++
	}
	decided := &p.chain
	if t.DecidedBy != nil {
		decided = p.total(*t.DecidedBy)
	}
	decided.decided++
	if p.json {
		return p.printJSON(t, summary, length)
	}
	p.line = fmt.Appendf(p.line[:0], "%d  %s, %d bytes: ", p.packets, summary, length)
	for i, step := range t.Steps {
		if i > 0 {
			p.line = append(p.line, ", "...)
		}
		p.line = fmt.Appendf(p.line, "%s %v", step.Name, step.Verdict)
	}
	by := "the dispatcher"
	if t.DecidedBy != nil {
		by = t.DecidedBy.Name
	}
	p.line = fmt.Appendf(p.line, " => %v by %s\n", t.Verdict, by)
	_, err := p.w.Write(p.line)
	return err
}

func (p *tracePrinter) printJSON(t *observe.Trace, summary string, length int) error {
	line := traceJSON{Packet: p.packets, Time: t.Time, Length: length, Summary: summary, Steps: []stepJSON{}, Verdict: t.Verdict.String()}
	for _, s := range t.Steps {
		line.Steps = append(line.Steps, stepJSON{s.ID, s.Name, s.Verdict.String()})
	}
	if t.DecidedBy != nil {
		line.DecidedBy = &line.Steps[len(line.Steps)-1]
	}
	return newJSON(p.w).Encode(line)
}

// totalsJSON is the shape of the last line of trace --json.
type totalsJSON struct {
	Totals []totalJSON `json:"totals"` // of each program, then of the chain, which has no id
}

type totalJSON struct {
	ID       uint32            `json:"id,omitempty"`
	Name     string            `json:"name"`
	Packets  uint64            `json:"packets"`
	Verdicts map[string]uint64 `json:"verdicts"`
	Decided  uint64            `json:"decided"` // of the chain: by the dispatcher
}

// totals prints what each program and the chain said: a table, or one line.
func (p *tracePrinter) totals() error {
	var totals totalsJSON
	for _, t := range append(p.programs, &p.chain) {
		total := totalJSON{t.ID, t.Name, t.verdicts.Sum(), map[string]uint64{}, t.decided}
		for v, name := range observe.VerdictNames() {
			total.Verdicts[name] = t.verdicts[v]
		}
		totals.Totals = append(totals.Totals, total)
	}
	if p.json {
		return newJSON(p.w).Encode(totals)
	}
	fmt.Fprintln(p.w)
	t := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "ID\tProgram\tPackets\t%s\tDecided\n", strings.Join(observe.VerdictNames(), "\t"))
	for _, total := range totals.Totals {
		id := ""
		if total.ID != 0 {
			id = fmt.Sprint(total.ID)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t", id, total.Name, total.Packets)
		for _, name := range observe.VerdictNames() {
			fmt.Fprintf(t, "%d\t", total.Verdicts[name])
		}
		fmt.Fprintln(t, total.Decided)
	}
	return t.Flush()
}
