package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/history"
)

func applyCommand(out *output.Printer) *cli.Command {
	return &cli.Command{
		Name:      "apply",
		Usage:     "make interfaces run what a state file says, each in one step",
		ArgsUsage: "-f <file>...",
		Flags: append(append(stateFlags(), trialFlags()...),
			&cli.BoolFlag{Name: "dry-run", Usage: "show what would be done, and do nothing"},
			&cli.BoolFlag{Name: "json", Usage: cmdline.JSONUsage("what was done")}),
		Action: func(c *cli.Context) error { return apply(c, out) },
	}
}

func apply(c *cli.Context, out *output.Printer) error {
	if c.Bool("dry-run") {
		if _, err := trialOptions(c); err != nil {
			return err
		}
		_, err := plan(c, out)
		return err
	}
	state, opts, err := readState(c, out)
	if err != nil {
		return err
	}
	if err := trialOf(c, state); err != nil {
		return err
	}
	opts.Waiting = func(holder string) { fmt.Fprintf(out.Stderr, "xdpmux: waiting for %s to finish\n", holder) }
	names := func() ([]string, error) {
		plans, err := state.Plan(c.Context, opts)
		var names []string
		for _, p := range plans {
			names = append(names, p.Interface.Name)
		}
		return names, err
	}
	return tried(c, out, names, func(changing func(*dispatcher.Changing) error) error {
		opts.Changing = changing
		r := history.NewRecorder(history.Options{Warn: out.WarnOf})
		done, err := state.Apply(r.Context(c.Context), opts)
		if err != nil {
			return err
		}
		errs, ifnames := make([]error, len(done)), make([]string, len(done))
		for i, p := range done {
			errs[i], ifnames[i] = p.Err, p.Interface.Name
		}
		r.EndEach(errs, ifnames...)
		return printPlans(c, out, done, desired.Trial{})
	})
}
