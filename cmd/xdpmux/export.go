package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/dispatcher/desired"
)

func exportCommand(out *output) *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "print the state file for what runs now, on some interfaces or on all",
		ArgsUsage: "[ifname]...",
		Flags:     []cli.Flag{&cli.BoolFlag{Name: "json", Usage: jsonUsage("the file")}},
		Action:    func(c *cli.Context) error { return export(c, out) },
	}
}

func export(c *cli.Context, out *output) error {
	state, strangers, err := desired.Export(c.Context, interfaceArgs(c.Args().Slice())...)
	if err != nil {
		return err
	}
	for _, s := range strangers {
		out.warn("program %d (%s) on %s was not put there by xdpmux: its object file is not known, and it is left out", s.Program.ID, s.Program.Name, s.Interface)
	}
	if c.Bool("json") {
		return out.printJSON(state)
	}
	file, err := state.YAML()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out.stdout, "%s", file)
	return err
}
