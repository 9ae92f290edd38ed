package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/cmd/internal/terminal"
	"github.com/xdpmux/xdpmux/dispatcher/check"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func checkCommand(out *output.Printer) *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "try whether this machine, and an interface, can run a chain",
		ArgsUsage: "[ifname]",
		Flags:     []cli.Flag{&cli.BoolFlag{Name: "json", Usage: cmdline.JSONUsage("what was found")}},
		Action:    func(c *cli.Context) error { return checkMachine(c, out) },
	}
}

func checkMachine(c *cli.Context, out *output.Printer) error {
	if c.NArg() > 1 {
		return cmdline.UsageError("check takes one interface", "xdpmux check [ifname]")
	}
	checks := check.System(c.Context)
	if ifname := c.Args().First(); ifname != "" {
		more, err := check.Interface(c.Context, ifname)
		if err != nil {
			return err
		}
		checks = append(checks, more...)
	}
	if err := c.Context.Err(); err != nil {
		return err
	}
	for i, c := range checks {
		checks[i].Remedy = out.Remedy(c.Remedy, c.Hints)
	}
	if c.Bool("json") {
		if err := out.PrintJSON(checks); err != nil {
			return err
		}
	} else {
		renderChecks(out, checks)
	}
	var missing []string
	for _, c := range checks {
		if c.State == check.Missing {
			missing = append(missing, c.Name)
		}
	}
	if len(missing) > 0 {
		return &xdp.Error{Kind: xdp.ErrNoDispatcher, Msg: "no chain can run: " + strings.Join(missing, ", ")}
	}
	return nil
}

func renderChecks(out *output.Printer, checks []check.Check) {
	for _, c := range checks {
		line := c.Detail
		if c.Remedy != "" {
			line += "; " + c.Remedy
		}
		fmt.Fprintf(out.Stdout, "%s  %-14s %s\n", paint(out.Stdout, c.State, fmt.Sprintf("%-7s", c.State)), c.Name, output.Shown(line))
	}
}

// colours are those of the states that a check finds (SGR parameters).
var colours = map[check.State]string{
	check.OK:      "32",
	check.Limited: "33",
	check.Missing: "31",
}

// paint colours text on a terminal, unless NO_COLOR is set (no-color.org).
func paint(w io.Writer, state check.State, text string) string {
	if !terminal.Drawable(w) || os.Getenv("NO_COLOR") != "" {
		return text
	}
	return "\x1b[" + colours[state] + "m" + text + "\x1b[m"
}
