package main

import (
	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/history"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func exportCommand(out *output.Printer) *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "print the state file for what runs now, on some interfaces or on all",
		ArgsUsage: "[ifname]...",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "bundle", Usage: "write the file, and the object files beside it, into the new directory `DIR`, which another machine can apply"},
			&cli.BoolFlag{Name: "json", Usage: cmdline.JSONUsage("the file")},
		},
		Action: func(c *cli.Context) error { return export(c, out) },
	}
}

func export(c *cli.Context, out *output.Printer) error {
	ifnames := cmdline.InterfaceArgs(c.Args().Slice())
	if c.IsSet("bundle") {
		return exportBundle(c, out, ifnames)
	}
	state, strangers, err := desired.Export(c.Context, ifnames...)
	if err != nil {
		return err
	}
	tellStrangers(out, strangers)
	if c.Bool("json") {
		return out.PrintJSON(state)
	}
	return printYAML(out, state)
}

// exportBundle writes a directory that holds all that apply needs.
func exportBundle(c *cli.Context, out *output.Printer, ifnames []string) error {
	const usage = "xdpmux export --bundle DIR [ifname]..."
	if c.Bool("json") {
		return cmdline.UsageError("--json prints the state, and --bundle writes it", usage)
	}
	if c.String("bundle") == "" {
		return cmdline.UsageError("the name of the bundle is empty", usage)
	}
	kept := func(p xdp.Loaded) ([]byte, error) { return history.Object("", p) }
	strangers, err := desired.Bundle(c.Context, c.String("bundle"), kept, ifnames...)
	tellStrangers(out, strangers)
	return err
}

func tellStrangers(out *output.Printer, strangers []desired.Stranger) {
	for _, s := range strangers {
		out.Warn("program %d (%s) on %s was not put there by xdpmux: its object file is not known, and it is left out", s.Program.ID, s.Program.Name, s.Interface)
	}
}
