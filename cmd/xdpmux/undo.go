package main

import (
	"fmt"
	"io"
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
			"are gone are loaded anew from copies that xdpmux has kept, with new maps, or with --restore-maps with what their maps held. " +
			"All is one swap. What another tool has loaded, and is gone, can't be brought back; then nothing is changed.\n\n" +
			"An undo is a change too: another undo takes it back.",
		ArgsUsage: "<ifname>",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "what ran before change `N` of the history (default: before the last one)"},
			&cli.BoolFlag{Name: "restore-maps", Usage: "have programs that are loaded anew begin with what their maps held when they were removed; what can't be restored is named"},
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
	var restored []history.Restored
	if c.Bool("restore-maps") {
		if restored, err = u.RestoreMaps(); err != nil {
			return err
		}
		if c.Bool("dry-run") {
			return previewUndo(c, out, ifname, u.Change, restored)
		}
		if len(restored) == 0 {
			out.Say("xdpmux: ", "no program is loaded anew, so all have the maps that they run with")
		}
		tellRestored(out.Stderr, "xdpmux: ", restored)
	}
	tx := u.Change
	tx.Warn, tx.BeforeSwap = out.WarnOf, record(out)
	return change(c, out, ifname, tx, func(done *dispatcher.Committed) { tellLoaded(out, ifname, done.Added...) })
}

// undoJSON is the shape of undo --restore-maps --dry-run --json.
type undoJSON struct {
	*dispatcher.Preview
	Restored []history.Restored `json:"restored"`
}

func previewUndo(c *cli.Context, out *output.Printer, ifname string, tx dispatcher.Transaction, restored []history.Restored) error {
	preview, err := tx.Preview(c.Context, ifname)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return out.PrintJSON([]undoJSON{{preview, append([]history.Restored{}, restored...)}})
	}
	if err := printPreviews(c, out, preview); err != nil {
		return err
	}
	tellRestored(out.Stdout, "", restored)
	return nil
}

// tellRestored says which maps get back what they held, and which don't.
func tellRestored(w io.Writer, prefix string, restored []history.Restored) {
	for _, r := range restored {
		for _, m := range r.Maps {
			entries := "entries"
			if m.Entries == 1 {
				entries = "entry"
			}
			line := fmt.Sprintf("the maps of %v are new: %s", r.Program, m.Why)
			switch {
			case m.Map != "" && m.Why != "":
				line = fmt.Sprintf("map %s of %v is new: %s", m.Map, r.Program, m.Why)
			case m.Map != "":
				line = fmt.Sprintf("map %s of %v gets back what it held, %d %s", m.Map, r.Program, m.Entries, entries)
			}
			fmt.Fprintln(w, prefix+output.Shown(line))
		}
	}
}
