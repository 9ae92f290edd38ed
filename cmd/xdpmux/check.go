package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/dispatcher/check"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func checkCommand(out *output) *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "try whether this machine, and an interface, can run a chain",
		ArgsUsage: "[ifname]",
		Flags:     []cli.Flag{&cli.BoolFlag{Name: "json", Usage: jsonUsage("what was found")}},
		Action:    func(c *cli.Context) error { return checkMachine(c, out) },
	}
}

func checkMachine(c *cli.Context, out *output) error {
	if c.NArg() > 1 {
		return usageError("check takes one interface", "xdpmux check [ifname]")
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
	if c.Bool("json") {
		if err := out.printJSON(checks); err != nil {
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

func renderChecks(out *output, checks []check.Check) {
	for _, c := range checks {
		line := c.Detail
		if c.Remedy != "" {
			line += "; " + c.Remedy
		}
		fmt.Fprintf(out.stdout, "%s  %-14s %s\n", out.paint(c.State, fmt.Sprintf("%-7s", c.State)), c.Name, shown(line))
	}
}
