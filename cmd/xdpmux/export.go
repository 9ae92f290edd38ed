package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
)

func exportCommand(out *output.Printer) *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "print the state file for what runs now, on some interfaces or on all",
		ArgsUsage: "[ifname]...",
		Flags:     []cli.Flag{&cli.BoolFlag{Name: "json", Usage: cmdline.JSONUsage("the file")}},
		Action:    func(c *cli.Context) error { return export(c, out) },
	}
}

func export(c *cli.Context, out *output.Printer) error {
	state, strangers, err := desired.Export(c.Context, cmdline.InterfaceArgs(c.Args().Slice())...)
	if err != nil {
		return err
	}
	for _, s := range strangers {
		out.Warn("program %d (%s) on %s was not put there by xdpmux: its object file is not known, and it is left out", s.Program.ID, s.Program.Name, s.Interface)
	}
	if c.Bool("json") {
		return out.PrintJSON(state)
	}
	file, err := state.YAML()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out.Stdout, "%s", file)
	return err
}
