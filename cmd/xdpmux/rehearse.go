package main

import (
	"fmt"
	"os"
	"slices"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/observer"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher"
)

// rehearseFlags are the options of commands that can send packets through a chain as it is
// and as they would make it. with is the option that they go with; empty: none.
func rehearseFlags(with string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "pcap", Usage: with + "tell what the packets of `FILE`, pcap or pcapng, would meet before and after; - is standard input; exit status 2: something else"},
		&cli.StringFlag{Name: "live", Usage: with + "tell the same of the packets that come in during `TIME`, such as 10s, as they come to the chain"},
		&cli.StringFlag{Name: "out", Usage: "with --pcap or --live: write the packets that would meet something else to `DIR`, one pcapng per interface and pair of verdicts"},
		&cli.BoolFlag{Name: "force", Usage: "with --out: replace files that are there"},
	}
}

// dryRunFlags are those of a command that changes chains.
func dryRunFlags() []cli.Flag {
	return append([]cli.Flag{dryRunFlag}, rehearseFlags("with --dry-run: ")...)
}

// checkRehearsal refuses options that go with others which are missing.
func checkRehearsal(c *cli.Context, dryRun bool) error {
	switch {
	case c.IsSet("pcap") && !dryRun:
		return cmdline.UsageError("--pcap is for --dry-run, which changes nothing", "xdpmux trace IFNAME --pcap FILE sends packets through the chain that runs")
	case c.IsSet("live") && !dryRun:
		return cmdline.UsageError("--live is for --dry-run, which changes nothing", "xdpmux trace IFNAME --live shows packets in the chain that runs")
	case c.IsSet("pcap") && c.IsSet("live"):
		return cmdline.UsageError("--pcap and --live exclude each other", "")
	case c.IsSet("out") && !rehearses(c):
		return cmdline.UsageError("--out writes packets of --pcap or --live, and neither is given", "add --pcap FILE or --live TIME")
	case c.Bool("force") && !c.IsSet("out"):
		return cmdline.UsageError("--force replaces files, and none is written", "it goes with --out")
	}
	_, err := readTime(c, "live", 0)
	return err
}

// rehearses says whether packets are to be sent through chains.
func rehearses(c *cli.Context) bool { return c.IsSet("pcap") || c.IsSet("live") }

// startRehearsal replaces this process by xdpmux-observe, which sends packets through the
// chains. It returns only if that fails. The request goes through memory that both see.
func startRehearsal(c *cli.Context, out *output.Printer, changes ...observer.Change) error {
	during, err := readTime(c, "live", 0)
	if err != nil {
		return err
	}
	request := observer.Rehearsal{Changes: changes, Pcap: c.String("pcap"), Live: during, Out: c.String("out"), Force: c.Bool("force")}
	fd, err := unix.MemfdCreate("xdpmux-rehearsal", 0)
	if err != nil {
		return os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "xdpmux-rehearsal")
	defer f.Close()
	if err := request.Write(f); err != nil {
		return err
	}
	args := slices.Concat([]string{os.Args[0], "rehearse"}, slices.Repeat([]string{"-v"}, out.Verbosity))
	if c.Bool("json") {
		args = append(args, "--json")
	}
	option := "--pcap"
	if during > 0 {
		option = "--live"
	}
	return execBeside(observer.Name, option, append(args, fmt.Sprintf("/proc/self/fd/%d", fd)))
}

// changesOf are changes that are the same on several interfaces.
func changesOf(c *cli.Context, ifnames []string, tx dispatcher.Transaction) (all []observer.Change, err error) {
	for _, name := range ifnames {
		change, err := observer.NewChange(c.Context, name, tx)
		if err != nil {
			return nil, err
		}
		all = append(all, change)
	}
	return all, nil
}
