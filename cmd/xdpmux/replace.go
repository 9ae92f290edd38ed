package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/images"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func replaceCommand(out *output.Printer) *cli.Command {
	return &cli.Command{
		Name:  "replace",
		Usage: "put a program in the place of one that runs, in one step",
		Description: "The new program takes the old one's priority and actions. The file can carry settings, as with load.\n\n" +
			"With --keep-maps the new program goes on with the old one's maps: those of the same name and layout, " +
			"and so its global variables (.bss, .data) if they are the same ones, in whatever file. Constants " +
			"(.rodata) are the new file's. A map of the same name and another layout, or other variables, are an " +
			"error, and the old program stays.",
		ArgsUsage: "<ifname> <file>[@setting,...]",
		Flags: append(append(targetFlags("replace"), append(dryRunFlags(), trialFlags()...)...),
			sectionFlag, progNameFlag, pinPathFlag, mapSizeFlag, nativeFlag, images.KeyFlag(),
			prioFlag("what the old program has"),
			actionsFlag("what the old program has"),
			&cli.BoolFlag{Name: "keep-maps", Usage: "go on with the old program's maps and global variables, and say which"},
			previewJSONFlag,
		),
		Action: func(c *cli.Context) error { return withMapSize(replace(c, out)) },
	}
}

func replace(c *cli.Context, out *output.Printer) error {
	const usage = "xdpmux replace (-i ID | --name NAME) [options] <ifname> <file>[@setting,...]"
	if c.NArg() != 2 {
		return cmdline.UsageError("replace needs an interface and a file", usage)
	}
	if err := checkPreview(c); err != nil {
		return err
	}
	ifname := c.Args().First()
	r := dispatcher.Replacement{
		Program:  xdp.Program{Section: c.String("section"), Name: c.String("prog-name"), PinPath: c.String("pin-path")},
		KeepMaps: c.Bool("keep-maps"),
	}
	var err error
	if r.Program.Priority, r.Program.Actions, err = settings(c); err != nil {
		return err
	}
	if r.Program.MapSizes, err = mapSizes(c); err != nil {
		return err
	}
	if r.Program, err = parseFileSpec(c.Args().Get(1), r.Program); err != nil {
		return err
	}
	if err := images.FetchPrograms(c.Context, out, c.StringSlice("verify-key"), &r.Program); err != nil {
		return err
	}
	if r.ID, err = target(c, ifname, usage); err != nil {
		return err
	}
	tx := dispatcher.Transaction{Mode: xdp.ModeUnspecified, Replace: []dispatcher.Replacement{r},
		NativeCompatible: c.Bool("native-compatible"), Warn: out.WarnOf, BeforeSwap: record(out)}
	return change(c, out, ifname, tx, func(done *dispatcher.Committed) {
		tellLoaded(out, ifname, done.Replaced[0].New)
		if r.KeepMaps {
			fmt.Fprintf(out.Stdout, "maps kept: %s\nmaps new:  %s\n", listOrNone(done.Replaced[0].KeptMaps), listOrNone(done.Replaced[0].NewMaps))
		}
	})
}

func listOrNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(output.ShownAll(names), ", ")
}
