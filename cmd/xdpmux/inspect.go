package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/images"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/inspect"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func inspectCommand(out *output.Printer) *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "show the programs and maps of object files (- is standard input), and what would load into a chain; needs no root",
		ArgsUsage: "<file>...",
		Flags:     []cli.Flag{images.KeyFlag(), &cli.BoolFlag{Name: "json", Usage: cmdline.JSONUsage("the files")}},
		Action:    func(c *cli.Context) error { return inspectFiles(c, out) },
	}
}

func inspectFiles(c *cli.Context, out *output.Printer) error {
	if c.NArg() == 0 {
		return cmdline.UsageError("inspect needs at least one file", "xdpmux inspect <file>...")
	}
	objects := []*inspect.Object{}
	var errs []error // the good files are shown all the same
	for _, file := range c.Args().Slice() {
		o, err := inspectFile(c, out, file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		noteNames(o)
		objects = append(objects, o)
	}
	if c.Bool("json") {
		return errors.Join(append(errs, out.PrintJSON(objects))...)
	}
	for i, o := range objects {
		if i > 0 {
			fmt.Fprintln(out.Stdout)
		}
		if err := renderObject(out.Stdout, o); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

// noteNames notes which programs are loaded only where they are named, and which others call.
func noteNames(o *inspect.Object) {
	for i, p := range o.Programs {
		switch {
		case p.Chain && !p.First && len(p.CalledBy) > 0:
			var slots []string
			for _, s := range p.CalledBy {
				slots = append(slots, fmt.Sprintf("%s[%d]", s.Map, s.Slot))
			}
			o.Programs[i].Note = "called by " + strings.Join(slots, ", ")
		case p.Chain && !p.First:
			o.Programs[i].Note = "with -n " + p.Name
		}
	}
}

// inspectFile reads an object file, or that of an image. "-" stands for standard input.
func inspectFile(c *cli.Context, out *output.Printer, file string) (*inspect.Object, error) {
	if file == "-" {
		data, err := cmdline.ReadStdin(c.Context, maxObject)
		if err != nil {
			return nil, err
		}
		return inspect.Read(cmdline.StdinName, data)
	}
	p := xdp.Program{File: file}
	err := images.FetchPrograms(c.Context, out, c.StringSlice("verify-key"), &p)
	if err == nil && p.Data == nil {
		p.Data, err = inspect.ReadFile(c.Context, file)
	}
	if err != nil {
		return nil, err
	}
	return inspect.Read(p.File, p.Data)
}

// maxObject is how large an object on standard input may be, in bytes.
const maxObject = 64 << 20

func renderObject(w io.Writer, o *inspect.Object) error {
	license := o.License
	if license == "" {
		license = "none given"
	}
	fmt.Fprintf(w, "%s: license %s, %s\n\n", output.Shown(o.File), output.Shown(license), map[bool]string{true: "with BTF", false: "without BTF"}[o.BTF])
	table := newTable(w)
	fmt.Fprintln(table, "Section\tProgram\tType\tInsns\tPrio\tChain actions\tFrags\tLoads into a chain")
	for _, p := range o.Programs {
		prio, actions := fmt.Sprint(p.Priority), p.Actions.String()
		if !p.XDP() {
			prio, actions = "-", "-"
		}
		loads := yesNo(p.Chain)
		if p.Note != "" {
			loads += ", " + p.Note
		}
		if p.Chain && len(p.Metadata) > 0 {
			loads += ", device-bound: calls " + strings.Join(p.Metadata, ", ")
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", output.Shown(p.Section), output.Shown(p.Name), p.Type, p.Instructions, prio, actions, yesNo(p.Frags), output.Shown(loads))
	}
	if err := table.Flush(); err != nil || len(o.Maps) == 0 {
		return err
	}
	fmt.Fprintln(w)
	fmt.Fprintln(table, "Map\tType\tKey\tValue\tMax entries\tPinning")
	for _, m := range o.Maps {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%s\n", output.Shown(m.Name), m.Type, m.KeySize, m.ValueSize, m.MaxEntries, m.Pinning)
	}
	return table.Flush()
}

// newTable aligns columns that are separated by tabs.
func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
