package main

import (
	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func setCommand(out *output.Printer) *cli.Command {
	return &cli.Command{
		Name:      "set",
		Usage:     "change the priority or the actions of a program that runs",
		ArgsUsage: "<ifname>",
		Flags:     append(append(targetFlags("change"), prioFlag("as it is"), actionsFlag("as they are"), previewJSONFlag), append(dryRunFlags(), trialFlags()...)...),
		Action:    func(c *cli.Context) error { return set(c, out) },
	}
}

func set(c *cli.Context, out *output.Printer) error {
	const usage = "xdpmux set (-i ID | --name NAME) [-P PRIO] [-A ACTIONS] <ifname>"
	if c.NArg() != 1 {
		return cmdline.UsageError("set needs one interface", usage)
	}
	if err := checkPreview(c); err != nil {
		return err
	}
	ifname := c.Args().First()
	var s dispatcher.Setting
	var err error
	if s.Priority, s.Actions, err = settings(c); err != nil {
		return err
	}
	if s.Priority == nil && s.Actions == nil {
		return cmdline.UsageError("set needs a priority or actions", usage)
	}
	if s.ID, err = target(c, ifname, usage); err != nil {
		return err
	}
	return change(c, out, ifname, dispatcher.Transaction{Mode: xdp.ModeUnspecified, Set: []dispatcher.Setting{s}, Warn: out.WarnOf}, nil)
}
