package main

import (
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/history"
)

func undoCommand(out *output.Printer) *cli.Command {
	return &cli.Command{
		Name:  "undo",
		Usage: "bring back what ran before the last change, or before an earlier one",
		Description: "Programs that still run, here or on another interface, go on with their maps and ids, at the places that they had. Those that " +
			"are gone are loaded anew from copies that xdpmux has kept, with new maps. All is one swap. What another tool has " +
			"loaded, and is gone, can't be brought back; then nothing is changed.\n\n" +
			"An undo is a change too: another undo takes it back.",
		ArgsUsage: "<ifname>",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "what ran before change `N` of the history (default: before the last one)"},
			dryRunFlag, previewJSONFlag,
		}, trialFlags()...),
		Action: func(c *cli.Context) error { return undo(c, out) },
	}
}

func undo(c *cli.Context, out *output.Printer) error {
	const usage = "xdpmux undo [--to N] <ifname>"
	if c.NArg() != 1 {
		return cmdline.UsageError("undo needs one interface", usage)
	}
	if err := checkPreview(c); err != nil {
		return err
	}
	number := 0
	if c.IsSet("to") {
		var err error
		if number, err = strconv.Atoi(c.String("to")); err != nil || number < 1 {
			return cmdline.UsageError(fmt.Sprintf("--to %q is no number of a change", c.String("to")), "xdpmux history shows them")
		}
	}
	ifname := c.Args().First()
	u, err := history.NewUndo(c.Context, "", ifname, number)
	if err != nil {
		return err
	}
	tx := u.Change
	tx.Warn, tx.BeforeSwap = out.WarnOf, record(out)
	return change(c, out, ifname, tx, func(done *dispatcher.Committed) { tellLoaded(out, ifname, done.Added...) })
}
