package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/fleet"
	"github.com/xdpmux/xdpmux/dispatcher/fleet/bpfman"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func convertCommand(out *output.Printer) *cli.Command {
	return &cli.Command{
		Name:      "convert",
		Usage:     "make XDPChain objects, or a state file, of what was written for bpfman; needs no root",
		ArgsUsage: "-f <file>...",
		Description: "It reads ClusterBpfApplication and BpfApplication, prints their XDP part in our words, and says on standard error " +
			"what has no counterpart.",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "file", Aliases: []string{"f"}, Usage: "read applications from `FILE` (- is standard input), or from the .yaml, .yml and .json files of a directory; can be given several times"},
			&cli.StringFlag{Name: "as", Usage: "print `KIND`: chain (XDPChain objects) or state (a state file)", Value: "chain"},
			&cli.StringFlag{Name: "primary", Usage: "the interface `IFNAME` is what primaryNodeInterface stands for"},
			&cli.BoolFlag{Name: "json", Usage: cmdline.JSONUsage("the objects, or the state")},
		},
		Action: func(c *cli.Context) error { return convert(c, out) },
	}
}

// listJSON is how Kubernetes has several objects in one.
type listJSON struct {
	APIVersion string        `json:"apiVersion"`
	Kind       string        `json:"kind"`
	Items      []fleet.Chain `json:"items"`
}

func convert(c *cli.Context, out *output.Printer) error {
	files := stateFiles(c)
	if len(files) == 0 {
		return cmdline.UsageError("convert needs a file", "xdpmux convert -f <file>...")
	}
	as := c.String("as")
	if as != "chain" && as != "state" {
		return cmdline.UsageError(fmt.Sprintf("--as %s is neither chain nor state", as), "xdpmux convert --as state -f <file>...")
	}
	opts := bpfman.Options{Primary: c.String("primary")}
	made := &bpfman.Converted{}
	for _, file := range files {
		one, err := convertFile(c, opts, file)
		if err != nil {
			return err
		}
		made.Add(one)
	}
	var state *desired.State
	if as == "state" {
		state = made.State()
	}
	for _, note := range made.Notes {
		out.Warn("%s", note)
	}
	if len(made.Chains) == 0 {
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: "no XDP part of an application is in " + strings.Join(files, ", ")}
	}
	switch {
	case c.Bool("json") && state != nil:
		return out.PrintJSON(state)
	case c.Bool("json"):
		return out.PrintJSON(listJSON{"v1", "List", made.Chains})
	case state != nil:
		return printYAML(out, state)
	}
	for i, chain := range made.Chains {
		if i > 0 {
			fmt.Fprintln(out.Stdout, "---")
		}
		if err := printYAML(out, chain); err != nil {
			return err
		}
	}
	return nil
}

// convertFile reads one file or directory. "-" stands for standard input.
func convertFile(c *cli.Context, opts bpfman.Options, file string) (*bpfman.Converted, error) {
	if file != "-" {
		return bpfman.Read(c.Context, opts, file)
	}
	data, err := cmdline.ReadStdin(c.Context, desired.FileLimit)
	if err != nil {
		return nil, err
	}
	made := &bpfman.Converted{}
	return made, made.Parse(opts, cmdline.StdinName, data)
}

func printYAML(out *output.Printer, v any) error {
	text, err := desired.YAML(v)
	if err == nil {
		_, err = out.Stdout.Write(text)
	}
	return err
}
