package main

import (
	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/dispatcher"
)

func unloadCommand(out *output) *cli.Command {
	return &cli.Command{
		Name:      "unload",
		Usage:     "unload one XDP program, or all, from an interface",
		ArgsUsage: "<ifname>",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "unload everything, the dispatcher too"},
			&cli.StringFlag{Name: "id", Aliases: []string{"i"}, Usage: "unload the program with this `ID`; status shows it"},
		},
		Action: unload,
	}
}

func unload(c *cli.Context) error {
	const usage = "xdpmux unload (-a | -i ID) <ifname>"
	switch {
	case c.NArg() != 1:
		return usageError("unload needs one interface", usage)
	case !c.Bool("all") && !c.IsSet("id"):
		return usageError("unload needs a program's id, or --all", usage)
	}
	ifname := c.Args().First()
	if c.Bool("all") {
		return dispatcher.DetachAll(c.Context, ifname)
	}
	id, err := parseID(c.String("id"), ifname)
	if err != nil {
		return err
	}
	return dispatcher.Detach(c.Context, ifname, id)
}
