package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/capture"
	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/observer"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/rehearse"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// rehearseNote says where a rehearsal is not the wire.
const rehearseNote = "by test run, in copies of the chains: what runs isn't touched; packets come in on receive queue 0, all on one CPU, XDP_TX and XDP_REDIRECT send nothing, XDP_PASS reaches no stack"

// statusDiffers is the exit status if a change makes a difference to a packet.
const statusDiffers cmdline.ExitStatus = 2

func rehearseChanges(c *cli.Context, out *output.Printer) (err error) {
	if c.NArg() != 1 {
		return cmdline.UsageError("rehearse needs a request", "xdpmux starts it")
	}
	request, err := observer.ReadRehearsal(c.Args().First())
	if err != nil {
		return err
	}
	out.InFull = true
	var file *captureFile // nil: packets are captured
	if request.Live == 0 {
		if file, err = openCapture(c.Context, request.Pcap); err != nil {
			return err
		}
		defer file.close()
	}
	var files *captureFiles
	if request.Out != "" {
		if files, err = newCaptureFiles(request.Out, rehearsalFiles(request.Changes), request.Force, file); err != nil {
			return err
		}
		defer func() {
			if err == nil || errors.As(err, new(cmdline.ExitStatus)) {
				err = errors.Join(files.finish(), err)
			} else {
				err = errors.Join(err, files.discard())
			}
		}()
	}
	fmt.Fprintln(out.Stderr, "xdpmux: "+rehearseNote)
	var all []*rehearsalJSON
	if file != nil {
		file.warn(out)
		all, err = rehearseCapture(c.Context, request.Changes, file, files)
	} else {
		all, err = rehearseLive(c.Context, out, request, files)
	}
	if err != nil {
		return err
	}
	if err := printRehearsals(out, all, c.Bool("json")); err != nil {
		return err
	}
	for _, one := range all {
		if one.Differ > 0 {
			return statusDiffers
		}
	}
	return nil
}

// rehearseCapture sends the packets of a file through the chains of each interface.
func rehearseCapture(ctx context.Context, changes []observer.Change, file *captureFile, files *captureFiles) (all []*rehearsalJSON, err error) {
	for _, change := range changes {
		one, err := rehearseChange(ctx, change, files, func(r *rehearsal) error {
			if err := file.fits(r.MaxLen()); err != nil {
				return err
			}
			return file.each(ctx, r.run)
		})
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// rehearsalFiles are the names of the files that packets may be written to.
func rehearsalFiles(changes []observer.Change) (names []string) {
	for _, change := range changes {
		for _, before := range observe.VerdictNames() {
			for _, after := range observe.VerdictNames() {
				names = append(names, rehearsalFile(change.Interface, before, after))
			}
		}
	}
	return names
}

func rehearsalFile(ifname, before, after string) string {
	return ifname + "-" + before + "-" + after
}

// rehearsalJSON is the shape of an interface in what plan and others print with --pcap and
// --live.
type rehearsalJSON struct {
	Interface xdp.Interface      `json:"interface"`
	Changed   bool               `json:"changed"` // false: the chain is so already, and no packet ran
	Before    []rehearse.Program `json:"before"`  // in the order they run
	After     []rehearse.Program `json:"after"`
	CPU       int                `json:"cpu"` // on which all packets ran
	Packets   uint64             `json:"packets"`
	Missed    uint64             `json:"missed"` // that came in while packets were captured, and didn't run
	Differ    uint64             `json:"differ"` // whose verdict or bytes would be others
	Kinds     []*kindJSON        `json:"kinds"`
	Limits    []rehearse.Limit   `json:"limits"` // what test runs can't show
}

// kindJSON is packets that meet the same before and after.
type kindJSON struct {
	Before      decisionJSON  `json:"before"`
	After       decisionJSON  `json:"after"`
	BytesDiffer bool          `json:"bytes_differ"`
	Packets     uint64        `json:"packets"`
	First       []exampleJSON `json:"first"`
}

type decisionJSON struct {
	Verdict   string      `json:"verdict"`
	DecidedBy *xdp.Loaded `json:"decided_by"` // null: no program, or the dispatcher behind the last one
	by        string
}

// exampleJSON is a packet with its two ways.
type exampleJSON struct {
	Packet  int       `json:"packet"` // its number in the capture, or among those that came in, from 1
	Time    time.Time `json:"time"`
	Length  int       `json:"length"`
	Whole   int       `json:"original_length,omitempty"` // where the capture has only the beginning
	Summary string    `json:"summary"`
	Before  wayJSON   `json:"before"`
	After   wayJSON   `json:"after"`

	words [2]string // the ways
}

// examples is how many packets of each kind are shown.
const examples = 3

// kind is what packets of a [kindJSON] have in common. Who decides is its place in the chain,
// -1 if no program does.
type kind struct {
	before, after     string
	decided, wouldFor int
	bytes             bool
}

func kindOf(o rehearse.Outcome) kind {
	return kind{verdictName(o.Before.Verdict), verdictName(o.After.Verdict), place(o.Before), place(o.After), o.Bytes}
}

// place is that of the program that decided. All programs before it have run.
func place(t *observe.Trace) int {
	if t.DecidedBy == nil {
		return -1
	}
	return len(t.Steps) - 1
}

// rehearsal is one that goes on.
type rehearsal struct {
	*rehearse.Rehearsal
	result    *rehearsalJSON
	kinds     map[kind]*kindJSON
	files     *captureFiles // nil: none are written
	dissector *dissector
}

// rehearseChange prepares a rehearsal, and calls run to send packets through it, unless nothing
// would change.
func rehearseChange(ctx context.Context, change observer.Change, files *captureFiles, run func(*rehearsal) error) (_ *rehearsalJSON, err error) {
	opened, err := rehearse.Open(ctx, change.Interface, change.Rehearse())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	r := &rehearsal{Rehearsal: opened, kinds: map[kind]*kindJSON{}, files: files, dissector: newDissector()}
	r.result = &rehearsalJSON{Interface: r.Interface, Changed: r.Changed, CPU: r.CPU, Kinds: []*kindJSON{}, Limits: []rehearse.Limit{},
		Before: append([]rehearse.Program{}, r.Before...), After: append([]rehearse.Program{}, r.After...)}
	if !r.Changed {
		return r.result, nil
	}
	r.result.Limits = append(r.result.Limits, r.Limits...)
	return r.result, run(r)
}

// run sends packet n through both chains.
func (r *rehearsal) run(n int, packet capture.Packet) error {
	o, err := r.Run(packet.Data)
	if err != nil {
		return err
	}
	r.result.Packets++
	is := kindOf(o)
	k := r.kinds[is]
	if k == nil {
		k = newKind(o, is)
		r.kinds[is] = k
		r.result.Kinds = append(r.result.Kinds, k)
	}
	k.Packets++
	if len(k.First) < examples {
		k.First = append(k.First, newExample(n, packet, r.dissector, o))
	}
	if !o.Differs() {
		return nil
	}
	r.result.Differ++
	if r.files == nil {
		return nil
	}
	return r.files.write(rehearsalFile(r.Interface.Name, is.before, is.after), packet.Time, packet.Data, packet.Length)
}

func newKind(o rehearse.Outcome, is kind) *kindJSON {
	decision := func(t *observe.Trace, verdict string) decisionJSON {
		d := decisionJSON{Verdict: verdict, by: decider(t)}
		if t.DecidedBy != nil {
			by := *t.DecidedBy
			d.DecidedBy = &by
		}
		return d
	}
	return &kindJSON{Before: decision(o.Before, is.before), After: decision(o.After, is.after), BytesDiffer: o.Bytes, First: []exampleJSON{}}
}

func newExample(n int, p capture.Packet, d *dissector, o rehearse.Outcome) exampleJSON {
	e := exampleJSON{Packet: n, Time: p.Time, Length: len(p.Data), Summary: string(d.summary(p.Data)),
		Before: newWayJSON(o.Before), After: newWayJSON(o.After), words: [2]string{string(wayWords(o.Before)), string(wayWords(o.After))}}
	if p.Length != len(p.Data) {
		e.Whole = p.Length
	}
	return e
}

// same says whether packets of the kind meet the same as before, and the same program decides.
func (k *kindJSON) same() bool {
	return k.Before.Verdict == k.After.Verdict && k.Before.by == k.After.by && !k.BytesDiffer
}

func printRehearsals(out *output.Printer, all []*rehearsalJSON, asJSON bool) error {
	if asJSON {
		return out.PrintJSON(all)
	}
	w := bufio.NewWriter(out.Stdout)
	for i, r := range all {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := r.print(w); err != nil {
			return err
		}
	}
	return w.Flush()
}

func (r *rehearsalJSON) print(w io.Writer) error {
	name := output.Shown(r.Interface.Name)
	if !r.Changed {
		_, err := fmt.Fprintf(w, "%s: nothing would change\n", name)
		return err
	}
	fmt.Fprintf(w, "%s: %d of %d packets would meet something else\n\n", name, r.Differ, r.Packets)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "Packets\tBefore\tAfter\tBytes")
	for _, k := range r.Kinds {
		bytes := "same"
		if k.BytesDiffer {
			bytes = "differ"
		}
		fmt.Fprintf(t, "%d\t%s by %s\t%s by %s\t%s\n", k.Packets, k.Before.Verdict, k.Before.by, k.After.Verdict, k.After.by, bytes)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, k := range r.Kinds {
		if !k.same() {
			k.printFirst(w)
		}
	}
	if len(r.Limits) > 0 {
		fmt.Fprint(w, "\nWhat a test run can't show:\n")
	}
	for _, l := range r.Limits {
		what := "new"
		if l.Program.ID != 0 {
			what = fmt.Sprint(l.Program.ID)
		}
		fmt.Fprintf(w, "  %s (%s): %s\n", output.Shown(l.Program.Name), what, output.Shown(l.Why))
	}
	return nil
}

// printFirst prints the first packets of a kind, each with its two ways.
func (k *kindJSON) printFirst(w io.Writer) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s by %s -> %s by %s", k.Before.Verdict, k.Before.by, k.After.Verdict, k.After.by)
	if k.BytesDiffer {
		b.WriteString(", with other bytes")
	}
	if int(k.Packets) > len(k.First) {
		fmt.Fprintf(&b, ", the first %d of %d", len(k.First), k.Packets)
	}
	b.WriteString(":\n")
	for _, e := range k.First {
		line := appendText(nil, e.Packet, "", []byte(e.Summary), e.Length, max(e.Length, e.Whole))
		fmt.Fprintf(&b, "%s\n    before: %s\n    after:  %s\n", strings.TrimSuffix(string(line), ": "), e.words[0], e.words[1])
	}
	io.WriteString(w, b.String())
}
