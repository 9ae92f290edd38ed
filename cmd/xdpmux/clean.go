package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/history"
	"github.com/xdpmux/xdpmux/dispatcher/pending"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func cleanCommand(out *output.Printer) *cli.Command {
	return &cli.Command{
		Name:      "clean",
		Usage:     "remove the pins that chains of vanished interfaces left behind",
		ArgsUsage: "[ifname]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "only list what would be removed"},
			&cli.BoolFlag{Name: "json", Usage: cmdline.JSONUsage("what was removed, and what was kept")},
		},
		Action: func(c *cli.Context) error { return clean(c, out) },
	}
}

func clean(c *cli.Context, out *output.Printer) error {
	if c.NArg() > 1 {
		return cmdline.UsageError("clean takes one interface", "xdpmux clean [ifname]")
	}
	ifname, what := c.Args().First(), "all interfaces"
	if ifname != "" {
		what = ifname
	}
	if !c.Bool("json") {
		fmt.Fprintf(out.Stdout, "Cleaning up detached XDP program links for %s\n", output.Shown(what))
	}
	opts := dispatcher.CleanOptions{Interface: ifname, DryRun: c.Bool("dry-run")}
	done, err := dispatcher.Clean(c.Context, opts)
	if err != nil {
		return err
	}
	forgotten, err := pending.Clean(c.Context, opts.DryRun)
	if err != nil {
		return err
	}
	done.Removed = append(done.Removed, forgotten...)
	var copies *history.Cleaned
	if ifname == "" {
		if copies, err = history.Clean(c.Context, "", opts.DryRun); err != nil {
			out.WarnOf(err)
		}
	}
	if c.Bool("json") {
		return out.PrintJSON(cleanedOf(done, copies))
	}
	if opts.DryRun {
		for _, dir := range done.Removed {
			fmt.Fprintf(out.Stdout, "would remove %s\n", output.Shown(dir))
		}
	}
	for _, k := range done.Kept {
		if k.Process != "" {
			fmt.Fprintf(out.Stdout, "kept %s, of a chain that %s is loading or removing\n", output.Shown(k.Dir), output.Shown(k.Process))
			continue
		}
		fmt.Fprintf(out.Stdout, "kept %s, the chain on %s in %s\n", output.Shown(k.Dir), output.Shown(k.Interface.Name), output.Shown(k.Netns))
	}
	if copies != nil && copies.Removed > 0 {
		verb := "removed"
		if opts.DryRun {
			verb = "would remove"
		}
		fmt.Fprintf(out.Stdout, "%s %s that undo has no use for, of %d\n", verb, plural(copies.Removed, "copied file"), copies.Removed+copies.Kept)
	}
	return nil
}

// cleanedJSON is the shape of clean --json.
type cleanedJSON struct {
	Removed []string         `json:"removed"` // with --dry-run: what would be
	Kept    []keptJSON       `json:"kept"`
	Copies  *history.Cleaned `json:"copies,omitempty"` // for undo; nil: one interface was named, or they can't be read
}

type keptJSON struct {
	Pins      string        `json:"pins"`
	Interface xdp.Interface `json:"interface"`
	Netns     string        `json:"netns"`
}

func cleanedOf(done *dispatcher.Cleaned, copies *history.Cleaned) cleanedJSON {
	shape := cleanedJSON{append([]string{}, done.Removed...), []keptJSON{}, copies}
	for _, k := range done.Kept {
		shape.Kept = append(shape.Kept, keptJSON{k.Dir, k.Interface, k.Netns})
	}
	return shape
}
