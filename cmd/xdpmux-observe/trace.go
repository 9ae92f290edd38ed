package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/capture"
	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/filter"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func trace(c *cli.Context, out *output.Printer) error {
	const usage = "xdpmux trace <ifname>[,<ifname>...] [--pcap FILE] [options] [filter]"
	switch {
	case c.NArg() < 1:
		return cmdline.UsageError("trace needs an interface", usage)
	case c.IsSet("pcap") && c.Bool("live"):
		return cmdline.UsageError("--pcap and --live exclude each other", usage)
	case c.IsSet("at") && !c.IsSet("write") && c.String("at") != arrival:
		return cmdline.UsageError("--at says what is captured, and nothing is written", "it goes with --write; only --at "+arrival+" goes without")
	case c.IsSet("pcap") && c.String("at") == arrival:
		return cmdline.UsageError("packets of a file don't arrive", "--at "+arrival+" is of the wire")
	case c.IsSet("pcap") && len(interfaces(c)) > 1:
		return cmdline.UsageError("packets of a file go through the chain of one interface", usage)
	case c.IsSet("size") && len(interfaces(c)) > 1:
		return cmdline.UsageError("--size goes with one interface", usage)
	case c.Bool("json") && c.String("write") == "-":
		return cmdline.UsageError("--json and --write - exclude each other: both go to standard output", usage)
	case c.Bool("print") && (!c.IsSet("write") || c.String("write") == "-"):
		return cmdline.UsageError("--print shows what --write FILE writes", "without --write packets are shown, and with --write - none are")
	case c.IsSet("size") && (!c.IsSet("write") || c.String("write") == "-"):
		return cmdline.UsageError("--size begins another file, and none is written", "it goes with --write FILE")
	case c.IsSet("files") && !c.IsSet("size"):
		return cmdline.UsageError("--files goes with --size", usage)
	case c.IsSet("id") && c.IsSet("name"):
		return cmdline.UsageError("--id and --name exclude each other", usage)
	}
	for _, name := range []string{"verdict", "id", "name"} {
		if c.String("at") == arrival && c.IsSet(name) {
			return cmdline.UsageError("--"+name+" says how packets were decided, and those that arrive are not yet", usage)
		}
	}
	live := !c.IsSet("pcap")
	only := map[bool][]string{true: {"out"}, false: {"count", "duration", "verdict", "id", "name", "sample", "snaplen", "buffer", "size", "files"}}
	for _, name := range only[live] {
		if c.IsSet(name) {
			return cmdline.UsageError(fmt.Sprintf("--%s doesn't go with this kind of trace", name), "xdpmux trace --help lists the options")
		}
	}
	if c.Bool("force") && !c.IsSet("out") && !c.IsSet("write") {
		return cmdline.UsageError("--force replaces files, and none is written", "it goes with --out and --write")
	}
	wanted, err := filter.Compile(strings.Join(c.Args().Tail(), " "))
	if err != nil {
		return err
	}
	if live {
		return traceLive(c, out, wanted)
	}
	return tracePcap(c, out, wanted)
}

// interfaces are those of the first argument, each once.
func interfaces(c *cli.Context) (names []string) {
	for _, name := range cmdline.SplitNames(c.Args().First()) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// replayNote says where a test run is not the wire.
const replayNote = "by test run: packets come in on receive queue 0, XDP_TX and XDP_REDIRECT send nothing, XDP_PASS reaches no stack; the programs' maps really change"

func tracePcap(c *cli.Context, out *output.Printer, wanted *filter.Filter) (err error) {
	at, err := parseAt(c.String("at"))
	if err != nil {
		return err
	}
	r, err := observe.OpenReplay(c.Context, c.Args().First(), at)
	if err != nil {
		return err
	}
	defer r.Close()
	file, err := openCapture(c.Context, c.String("pcap"))
	if err != nil {
		return err
	}
	defer file.close()
	if err := file.fits(r.MaxLen()); err != nil {
		return err
	}
	var files *captureFiles
	if c.IsSet("out") {
		if files, err = newCaptureFiles(c.String("out"), observe.VerdictNames(), c.Bool("force"), file); err != nil {
			return err
		}
		defer func() {
			if err == nil {
				err = files.finish()
			} else {
				err = errors.Join(err, files.discard())
			}
		}()
	}
	var points *pointWriter
	if c.IsSet("write") {
		if points, err = createPoints(out, []string{c.Args().First()}, c.String("write"), c.Bool("force"), observe.LiveOptions{At: at}, wanted, file); err != nil {
			return err
		}
		defer func() {
			if err == nil {
				err = points.finish()
			} else {
				err = errors.Join(err, points.discard())
			}
		}()
	}
	w := bufio.NewWriterSize(linesOf(c, out), 1<<16)
	defer func() { err = errors.Join(err, w.Flush()) }()
	p := newTracePrinter(w, c.Bool("json"), r.Programs())
	fmt.Fprintln(out.Stderr, "xdpmux: "+replayNote)
	file.warn(out)
	p.quiet = quiet(c)
	err = file.each(c.Context, func(n int, packet capture.Packet) error {
		if !wanted.Match(packet.Data, packet.Length) {
			return nil
		}
		t, err := r.Run(packet.Data)
		if err != nil {
			return err
		}
		t.Time = packet.Time
		missing := packet.Length - len(packet.Data)
		if points != nil {
			if err := points.add(n, c.Args().First(), t, missing); err != nil {
				return output.CantWrite(points.name, err)
			}
		}
		if files != nil {
			if err := files.write(verdictName(t.Verdict), t.Time, t.Data, t.Length+missing); err != nil {
				return err
			}
		}
		return p.packet(n, t, packet.Data, len(packet.Data), packet.Length)
	})
	if err != nil && c.Context.Err() == nil {
		return err
	}
	return p.totals()
}

// quiet says whether packets are only written, and not shown.
func quiet(c *cli.Context) bool { return c.IsSet("write") && !c.Bool("print") }

// linesOf is where the lines of packets go: nowhere if the capture itself goes to standard
// output.
func linesOf(c *cli.Context, out *output.Printer) io.Writer {
	if c.String("write") == "-" {
		return io.Discard
	}
	return out.Stdout
}

// verdictName is the name of a number that may be no verdict.
func verdictName(v xdp.Verdict) string {
	return observe.VerdictNames()[min(int(v), observe.Other)]
}
