package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/dispatcher"
)

func unloadCommand(out *output) *cli.Command {
	return &cli.Command{
		Name:      "unload",
		Usage:     "unload one XDP program, or all, from interfaces",
		ArgsUsage: "<ifname>[,...]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "unload everything, the dispatcher too"},
			&cli.StringFlag{Name: "id", Aliases: []string{"i"}, Usage: "unload the program with this `ID`; status shows it"},
		},
		Action: func(c *cli.Context) error { return unload(c, out) },
	}
}

func unload(c *cli.Context, out *output) error {
	const usage = "xdpmux unload (-a | -i ID) <ifname>"
	switch {
	case c.NArg() != 1:
		return usageError("unload needs one interface", usage)
	case !c.Bool("all") && !c.IsSet("id"):
		return usageError("unload needs a program's id, or --all", usage)
	}
	ifnames := splitNames(c.Args().First())
	remove := dispatcher.DetachAll
	if !c.Bool("all") {
		id, err := parseID(c.String("id"), ifnames[0])
		if err != nil {
			return err
		}
		remove = func(ctx context.Context, ifname string) error {
			return dispatcher.Detach(ctx, ifname, id)
		}
	}
	// What can't be done on one keeps none of the others from being done.
	each, end := out.progress(len(ifnames))
	defer end()
	var errs []error
	for _, ifname := range ifnames {
		each(ifname)
		errs = append(errs, remove(c.Context, ifname))
	}
	return errors.Join(errs...)
}
