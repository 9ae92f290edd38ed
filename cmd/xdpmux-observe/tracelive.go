package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/filter"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// maxBuffer is the largest value of --buffer, in MiB.
const maxBuffer = 1024

// writeBuffer is the buffer of a capture if nobody says --buffer: who writes it may have to wait for the disk.
const writeBuffer = 16 << 20

// liveOptions reads which packets of the wire are asked for.
func liveOptions(c *cli.Context) (options observe.LiveOptions, err error) {
	options.Program = c.String("name")
	if c.IsSet("id") {
		if options.ID, err = cmdline.ParseID(c.String("id"), c.Args().First()); err != nil {
			return options, err
		}
	}
	if options.Verdicts, err = parseVerdicts(c.String("verdict")); err != nil {
		return options, err
	}
	if options.OneIn, err = parseSample(c.String("sample")); err != nil {
		return options, err
	}
	for _, n := range []struct {
		option string
		limit  uint
	}{{"snaplen", observe.SnapLen}, {"buffer", maxBuffer}, {"size", maxSize}, {"files", maxFiles}} {
		if v := c.Uint(n.option); v == 0 && c.IsSet(n.option) || v > n.limit {
			return options, cmdline.UsageError(fmt.Sprintf("%s %d is not a number from 1 to %d", n.option, v, n.limit), "")
		}
	}
	options.SnapLen, options.Buffer = int(c.Uint("snaplen")), int(c.Uint("buffer"))<<20
	if options.Buffer == 0 && c.IsSet("write") {
		options.Buffer = observe.UsualBuffer(writeBuffer)
	}
	options.At, err = parseAt(c.String("at"))
	return options, err
}

func traceLive(c *cli.Context, out *output.Printer, wanted *filter.Filter) (err error) {
	count, err := cmdline.ParseCount(c)
	if err != nil {
		return err
	}
	options, err := liveOptions(c)
	if err != nil {
		return err
	}
	if wanted.String() != "" {
		options.Filter = wanted.Program()
	}
	ctx := c.Context
	if c.IsSet("duration") {
		during, err := cmdline.ParseTime("duration", c.String("duration"))
		if err != nil {
			return err
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, during)
		defer cancel()
	}
	names := interfaces(c)
	l, err := observe.OpenLive(c.Context, names, options)
	if err != nil {
		return err
	}
	defer l.Close()
	var file *pointWriter
	if c.IsSet("write") {
		files := rotation{name: c.String("write"), size: int64(c.Uint("size")) * megabyte, files: int(c.Uint("files")), force: c.Bool("force")}
		if err := files.check(); err != nil {
			return err
		}
		if file, err = createPoints(out, names, files.path(), files.force, options, wanted, nil); err != nil {
			return err
		}
		file.rotation, file.taken = files, l.Taken
		// What was on the wire doesn't come again. So the file stays, whatever ends the trace.
		defer func() { err = errors.Join(err, file.keep()) }()
		file.begin()
	}
	bare := bareInterfaces{}
	if options.At == observe.AtArrival {
		for _, t := range l.Taken() {
			bare.see(out, t.Interface, t.Program)
		}
	}
	// Packets are garbage as soon as they are written, and little else is on the heap.
	debug.SetGCPercent(400)
	lines := bufio.NewWriterSize(linesOf(c, out), 1<<16)
	defer func() { err = errors.Join(err, lines.Flush()) }()
	p := newTracePrinter(lines, c.Bool("json"), nil)
	if p.quiet = quiet(c); p.quiet {
		out.Say("xdpmux: ", "capturing on "+strings.Join(names, ", "))
	}
	p.arrival = options.At == observe.AtArrival
	for n := uint(0); count == 0 || n < count; n++ {
		t, err := nextPacket(ctx, l)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if p.arrival {
			bare.see(out, t.Interface, t.Main)
		}
		if file != nil {
			if file.add(int(n)+1, t.Interface, t, 0) != nil || file.live() && !l.Ready() && file.Flush() != nil {
				break // keep returns the error
			}
		}
		if len(names) > 1 {
			p.ifname = t.Interface
		}
		if err := p.packet(int(n)+1, t, t.Data, t.Length, t.Length); err != nil {
			return err
		}
		l.Recycle(t)
		if !l.Ready() { // there are no others to be shown with it
			if err := lines.Flush(); err != nil {
				return err
			}
		}
	}
	if missed := l.Missed(); missed > 0 {
		out.Warn("%d packets are not shown, as the chain was changed at that time", missed)
	}
	if lost := l.Lost(); lost > 0 {
		out.Warn("%d packets came too fast to be shown; a larger --buffer keeps more, and --sample shows a part of them", lost)
	}
	return p.totals()
}

// nextPacket waits for a packet of l until ctx ends, and then returns those that have come before,
// and in the end [io.EOF].
func nextPacket(ctx context.Context, l *observe.Live) (*observe.Trace, error) {
	t, err := l.Next(ctx)
	if err == nil || ctx.Err() == nil {
		return t, err
	}
	if err := l.Stop(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	if !l.Ready() {
		return nil, io.EOF
	}
	return l.Next(ctx)
}

// bareInterfaces says of interfaces where their arrivals are captured: true without a program.
type bareInterfaces map[string]bool

// see says it when it changes. main is the interface's own program, if it has one.
func (b bareInterfaces) see(out *output.Printer, ifname string, main xdp.Loaded) {
	before, known := b[ifname]
	now := main.ID == 0
	b[ifname] = now
	switch {
	case now && !(known && before):
		out.Say("xdpmux: ", ifname+" has no XDP program: captures what a packet socket gets, which the kernel may have put together (GRO)")
	case before && !now:
		out.Say("xdpmux: ", ifname+" has an XDP program now: captures what comes to "+main.Name)
	}
}

// parseVerdicts reads names joined by commas; nil: all.
func parseVerdicts(list string) ([]int, error) {
	if list == "" {
		return nil, nil
	}
	var verdicts []int
	for _, name := range strings.Split(list, ",") {
		v := slices.Index(observe.VerdictNames(), name) // "other" too
		if known, err := xdp.ParseVerdict(name); err == nil {
			v = int(known)
		}
		if v < 0 {
			return nil, cmdline.UsageError(fmt.Sprintf("unknown verdict %q", name), "verdicts: "+strings.Join(observe.VerdictNames(), ", "))
		}
		verdicts = append(verdicts, v)
	}
	return verdicts, nil
}

// parseSample reads "1/100".
func parseSample(s string) (uint32, error) {
	if number, ok := strings.CutPrefix(s, "1/"); ok {
		if n, err := strconv.ParseUint(number, 10, 32); err == nil && n > 0 {
			return uint32(n), nil
		}
	}
	return 0, cmdline.UsageError(fmt.Sprintf("%q is not a part such as 1/100", s), "")
}
