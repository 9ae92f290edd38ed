// Package observer defines how the commands of xdpmux-observe are called. What they do is
// in cmd/xdpmux-observe.
package observer

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
)

// Commands are stats, top, trace and test with what each of them does.
//
// xdpmux has these definitions too, for help and completion, and starts xdpmux-observe for
// what they do. That takes libraries for packets, for Prometheus and for the screen, which
// cost every start of a program tens of milliseconds of an emulated processor.
func Commands(stats, top, trace, test cli.ActionFunc) []*cli.Command {
	return []*cli.Command{statsCommand(stats), topCommand(top), traceCommand(trace), testCommand(test)}
}

func statsCommand(action cli.ActionFunc) *cli.Command {
	return &cli.Command{
		Name:      "stats",
		Usage:     "count what each program of a chain does to packets",
		ArgsUsage: "[ifname]...",
		Description: "Counts while it runs, and leaves the chain as it was. Rates are those of the last interval. A " +
			"program has \"decided\" a packet whose chain ended with its verdict, and \"handed on\" the others. " +
			"Without names all interfaces are observed, those that come or get a program later too.",
		Flags: []cli.Flag{
			cmdline.IntervalFlag("report", "i"),
			cmdline.CountFlag("reports"),
			&cli.BoolFlag{Name: "latency", Usage: "measure how long each program takes, which takes two to three times what counting alone does"},
			&cli.BoolFlag{Name: "json", Usage: "print each report as one line of JSON"},
			&cli.BoolFlag{Name: "prometheus", Usage: "print what one interval counts as a Prometheus scrape, and end"},
			&cli.StringFlag{Name: "listen", Usage: "serve Prometheus scrapes at http://`ADDRESS`/metrics and a page with a picture of each chain at http://ADDRESS/, such as 127.0.0.1:9435; without a host on loopback only"},
			&cli.StringFlag{Name: "svg", Usage: "draw what one interval counts, the packets as streams, to `FILE`, and end; - is standard output"},
			&cli.BoolFlag{Name: "force", Usage: "with --svg: replace a file that is there"},
		},
		Action: action,
	}
}

func topCommand(action cli.ActionFunc) *cli.Command {
	return &cli.Command{
		Name:      "top",
		Usage:     "watch what the programs of one chain, or of all, do to packets",
		ArgsUsage: "[ifname]...",
		Flags: []cli.Flag{
			cmdline.IntervalFlag("refresh", "i"),
			&cli.BoolFlag{Name: "latency", Usage: "measure how long each program takes, which takes two to three times what counting alone does"},
		},
		Action: action,
	}
}

func traceCommand(action cli.ActionFunc) *cli.Command {
	return &cli.Command{
		Name:      "trace",
		Usage:     "show the way of packets through a chain: of a capture, or of the wire",
		ArgsUsage: "<ifname>[,<ifname>...] [filter]",
		Description: "With --pcap the packets of a file go through the installed chain by test run, without the wire. " +
			"Without it the packets of the wire are shown, as the chain left them, those of several interfaces in one order of time. " +
			"With --write they go to a pcapng file for Wireshark, which has an interface for each place where packets are captured, " +
			"and the verdict with each packet that leaves. " +
			"A filter in the language of tcpdump (man pcap-filter) takes some of the packets: of a file as they are in it, of the wire " +
			"in the kernel, as they leave the chain, or with --at as they are at one of the points at least.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "pcap", Usage: "trace the packets of `FILE`, pcap or pcapng; - is standard input"},
			&cli.BoolFlag{Name: "live", Usage: "trace the packets that the interface receives (default without --pcap)"},
			&cli.BoolFlag{Name: "json", Usage: "print each packet as one line of JSON"},
			&cli.StringFlag{Name: "out", Usage: "with --pcap: write the packets as the chain left them to `DIR`, one pcapng per verdict"},
			&cli.BoolFlag{Name: "force", Usage: "with --out and --write: replace files that are there"},
			cmdline.CountFlag("packets of the wire"),
			&cli.StringFlag{Name: "duration", Usage: "of the wire: end after `TIME`, in seconds, or such as 500ms"},
			&cli.StringFlag{Name: "verdict", Usage: "of the wire: only packets with these final `VERDICTS`, joined by commas: " + strings.Join(observe.VerdictNames(), ", ")},
			&cli.StringFlag{Name: "id", Aliases: []string{"i"}, Usage: "of the wire: only packets that the program with this `ID` decided"},
			&cli.StringFlag{Name: "name", Usage: "of the wire: only packets that the program of this `NAME` decided"},
			&cli.StringFlag{Name: "sample", Value: "1/1", Usage: "of the wire: only a random `PART` of them, such as 1/100"},
			&cli.StringFlag{Name: "write", Aliases: []string{"w"}, Usage: "write the packets to `FILE`, as pcapng, and show the totals alone; - is standard output"},
			&cli.BoolFlag{Name: "print", Usage: "with --write FILE: show each packet too"},
			&cli.UintFlag{Name: "size", Usage: "with --write: begin another file when one has `MB` million bytes; numbers go behind the names of all but the first"},
			&cli.UintFlag{Name: "files", Usage: "with --size: keep the last `N` files, whose names are reused"},
			&cli.StringFlag{Name: "at", Value: "chain", Usage: "capture packets at these `POINTS`: with --write chain, as they leave it, or programs, as they come to each program and as they leave it; arrival, as they come to the interface, also to one without a program"},
			&cli.UintFlag{Name: "snaplen", Value: observe.SnapLen, Usage: "of the wire: capture the first `BYTES` of each packet"},
			&cli.UintFlag{Name: "buffer", Usage: "of the wire: keep up to `MIB` of the packets of each processor until they are shown or written (default 4, with --write 16, and less where all processors together had more than 64)"},
		},
		Action: action,
	}
}

func testCommand(action cli.ActionFunc) *cli.Command {
	return &cli.Command{
		Name:      "test",
		Usage:     "run the cases of a chain's own test; exit status 0: all pass, 2: a case failed",
		ArgsUsage: "-f <file>... <cases-file>...",
		Description: "A case says a packet and what has to come of it in the chain that the state describes. Each runs in a chain of its own, " +
			"by test run. Nothing is attached, and no interface is needed.",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "file", Aliases: []string{"f"}, Usage: "read the state from `FILE` (- is standard input), or from the .yaml, .yml and .json files of a directory; can be given several times"},
			&cli.BoolFlag{Name: "tap", Usage: "print the results in the Test Anything Protocol"},
			&cli.BoolFlag{Name: "junit", Usage: "print the results as JUnit's XML"},
			&cli.BoolFlag{Name: "json", Usage: cmdline.JSONUsage("the results")},
		},
		Action: action,
	}
}

// Name is the program that does what they do. It lies beside xdpmux, or in
// ../libexec/xdpmux as seen from there, where make install puts it.
const Name = "xdpmux-observe"
