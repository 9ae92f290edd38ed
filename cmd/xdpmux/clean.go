package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/dispatcher"
)

func cleanCommand(out *output) *cli.Command {
	return &cli.Command{
		Name:      "clean",
		Usage:     "remove the pins that chains of vanished interfaces left behind",
		ArgsUsage: "[ifname]",
		Action:    func(c *cli.Context) error { return clean(c, out) },
	}
}

func clean(c *cli.Context, out *output) error {
	if c.NArg() > 1 {
		return usageError("clean takes one interface", "xdpmux clean [ifname]")
	}
	ifname, what := c.Args().First(), "all interfaces"
	if ifname != "" {
		what = ifname
	}
	fmt.Fprintf(out.stdout, "Cleaning up detached XDP program links for %s\n", what)
	return dispatcher.Clean(c.Context, ifname)
}
