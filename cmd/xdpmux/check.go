package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/dispatcher"
)

func checkCommand(out *output) *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "try whether this machine, and an interface, can run a chain",
		ArgsUsage: "[ifname]",
		Flags:     []cli.Flag{&cli.BoolFlag{Name: "json", Usage: jsonUsage("what was found")}},
		Action:    func(c *cli.Context) error { return check(c, out) },
	}
}

func check(c *cli.Context, out *output) error {
	if c.NArg() > 1 {
		return usageError("check takes one interface", "xdpmux check [ifname]")
	}
	checks := dispatcher.CheckSystem(c.Context)
	if ifname := c.Args().First(); ifname != "" {
		more, err := dispatcher.CheckInterface(c.Context, ifname)
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
	for _, check := range checks {
		if check.State == dispatcher.CheckMissing {
			missing = append(missing, check.Name)
		}
	}
	if len(missing) > 0 {
		return &dispatcher.Error{Kind: dispatcher.ErrNoDispatcher, Msg: "no chain can run: " + strings.Join(missing, ", ")}
	}
	return nil
}

func renderChecks(out *output, checks []dispatcher.Check) {
	for _, check := range checks {
		line := check.Detail
		if check.Remedy != "" {
			line += "; " + check.Remedy
		}
		fmt.Fprintf(out.stdout, "%s  %-14s %s\n", out.paint(check.State, fmt.Sprintf("%-7s", check.State)), check.Name, shown(line))
	}
}
