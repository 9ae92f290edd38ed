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
	each, end := out.progress(ifnames)
	defer end()
	var errs []error
	for i, ifname := range ifnames {
		each("unload", i)
		err := c.Context.Err()
		if err == nil {
			err = remove(c.Context, ifname)
		}
		errs = append(errs, err)
		if errors.Is(err, context.Canceled) {
			break
		}
	}
	return errors.Join(errs...)
}
