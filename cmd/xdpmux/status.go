package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/pending"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func statusCommand(out *output.Printer) *cli.Command {
	return &cli.Command{
		Name:      "status",
		Usage:     "show the XDP programs of interfaces, or of all",
		ArgsUsage: "[ifname]...",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: cmdline.JSONUsage("the programs")},
			&cli.BoolFlag{Name: "watch", Usage: "show them again and again, until q or Ctrl-C"},
			cmdline.IntervalFlag("with --watch: show them", "i"),
			&cli.StringFlag{Name: "svg", Usage: "draw the chains to `FILE`; - is standard output"},
			&cli.BoolFlag{Name: "force", Usage: "with --svg: replace a file that is there"},
		},
		Action: func(c *cli.Context) error {
			print := func(w io.Writer) error { return status(c, out, w) }
			every, err := watchInterval(c)
			switch {
			case err != nil:
				return err
			case c.IsSet("svg") && (every > 0 || c.Bool("json")):
				return cmdline.UsageError("--svg goes with neither --json nor --watch", "give one of them")
			case c.Bool("force") && !c.IsSet("svg"):
				return cmdline.UsageError("--force replaces a file, and none is written", "it goes with --svg")
			}
			if every == 0 {
				return print(out.Stdout)
			}
			return watch(c.Context, out.Stdout, every, !c.Bool("json"), print)
		},
	}
}

// noteMTU warns, beside the table, of chains that don't get every packet.
func noteMTU(out *output.Printer, chains []*dispatcher.Chain) {
	for _, c := range chains {
		if err := c.CheckMTU(); err != nil {
			out.WarnOf(err)
		}
	}
}

// noteNative tells, beside the table, of chains that native tools can't read or change.
func noteNative(out *output.Printer, chains []*dispatcher.Chain) {
	if !slices.ContainsFunc(chains, func(c *dispatcher.Chain) bool { return c.Dispatcher != nil }) {
		return
	}
	version, _ := dispatcher.NativeVersion()
	for _, c := range chains {
		var e *xdp.Error
		if errors.As(c.CheckNative(version), &e) {
			out.Say("xdpmux: note: ", e.Msg)
			out.Advise(e)
		}
		if c.DeviceBound {
			out.Say("xdpmux: note: ", fmt.Sprintf("the chain on %s is bound to its device, for metadata: native tools can't change it", c.Interface.Name))
		}
		if c.NativeLocked {
			out.Say("xdpmux: note: ", fmt.Sprintf("tools of libxdp before 1.5.5 can't change the chain on %s: a program in it changes packet data", c.Interface.Name))
		}
	}
}

func status(c *cli.Context, out *output.Printer, w io.Writer) error {
	// Where some interfaces aren't there the others are shown all the same.
	chains, missing := dispatcher.StatusAll(c.Context, cmdline.InterfaceArgs(c.Args().Slice())...)
	var err, unknown error
	switch {
	case missing != nil && len(chains) == 0:
		return missing
	case c.IsSet("svg"):
		err = drawStatus(out, chains, c.String("svg"), c.Bool("force"))
	case c.Bool("json"):
		shape := statusOf(chains)
		unknown = addCalled(shape, chains)
		err = output.PrintJSON(w, shape)
	default:
		err = renderStatus(w, chains)
		if !c.Bool("watch") {
			noteMTU(out, chains)
			noteNative(out, chains)
			notePending(out, chains)
		}
	}
	if !c.Bool("watch") { // --watch goes on, and its rows say what can't be read
		err = errors.Join(err, cmp.Or(unread(chains), unknown))
	}
	return errors.Join(err, missing)
}

// statusJSON is the shape of an interface in status --json.
type statusJSON struct {
	*dispatcher.Chain
	Legacy   *legacyJSON     `json:"legacy,omitempty"`
	Programs []componentJSON `json:"programs"`
	Pending  *pending.Info   `json:"pending,omitempty"` // a change of it that waits to be confirmed
}

type legacyJSON struct {
	xdp.Loaded
	Calls []dispatcher.Called `json:"calls,omitempty"`
}

type componentJSON struct {
	dispatcher.Component
	Calls []dispatcher.Called `json:"calls,omitempty"`
}

func statusOf(chains []*dispatcher.Chain) []statusJSON {
	shape := make([]statusJSON, len(chains))
	infos, _ := pending.List() // who may not see them can't confirm one
	for i, c := range chains {
		shape[i].Chain, shape[i].Programs = c, []componentJSON{}
		if c.Legacy != nil {
			shape[i].Legacy = &legacyJSON{Loaded: *c.Legacy}
		}
		for _, p := range c.Programs {
			shape[i].Programs = append(shape[i].Programs, componentJSON{Component: p})
		}
		for _, info := range infos {
			if slices.Contains(info.Interfaces, c.Interface) {
				shape[i].Pending = &info
			}
		}
	}
	return shape
}

// addCalled adds to each program those that it calls.
func addCalled(shape []statusJSON, chains []*dispatcher.Chain) error {
	called, err := dispatcher.CalledBy(chains)
	for _, c := range shape {
		if c.Legacy != nil {
			c.Legacy.Calls = called[c.Legacy.ID]
		}
		for i := range c.Programs {
			c.Programs[i].Calls = called[c.Programs[i].ID]
		}
	}
	return err
}

// notePending tells, beside the table, of changes that wait to be confirmed.
func notePending(out *output.Printer, chains []*dispatcher.Chain) {
	told := map[string]bool{}
	for _, c := range statusOf(chains) {
		if c.Pending == nil || told[c.Pending.ID] {
			continue
		}
		told[c.Pending.ID] = true
		ends := "it is being made"
		switch {
		case c.Pending.Failed != "":
			ends = "it could not be taken back yet: " + c.Pending.Failed
		case !c.Pending.Ends.IsZero():
			ends = "it is taken back at " + c.Pending.Ends.Format("15:04:05")
		}
		out.Say("xdpmux: note: ", fmt.Sprintf("a change of %s waits to be confirmed, made by %s (%s); %s", namesOf(c.Pending.Interfaces), c.Pending.By, c.Pending.Command, ends))
		out.Say("  ", fmt.Sprintf("xdpmux confirm %[1]s, or xdpmux revert %[1]s", c.Interface.Name))
	}
}

// unread is the error of the chains that couldn't be read.
func unread(chains []*dispatcher.Chain) error {
	var errs []error
	for _, c := range chains {
		if c.Err != nil {
			errs = append(errs, c.Err)
		}
	}
	if len(errs) < 2 {
		return errors.Join(errs...)
	}
	e := &xdp.Error{Kind: xdp.ErrSystem, Err: errors.Join(errs...),
		Msg: fmt.Sprintf("the programs of %d interfaces can't be read", len(errs))}
	var first *xdp.Error
	if errors.As(errs[0], &first) {
		e.Remedy, e.Hints = first.Remedy, first.Hints
	}
	return e
}

// The columns of xdp-loader's table. The text is the same, byte for byte.
const (
	statusHead = "%-16s %-5s %-17s Mode     ID   %-17s %s\n"
	statusMain = "%s %-5s %s %-8s %-4d %-17s\n"
	statusPart = "%-16s %-5d  %s %-8s %-4d %-17s %s\n"
	statusNone = "%s %-5s %s\n"
)

// column is a name, filled up to so many bytes. C counts bytes, and not characters.
func column(name string, width int) string {
	name = output.Shown(name)
	return name + strings.Repeat(" ", max(width-len(name), 0))
}

// renderStatus prints the table of xdp-loader.
func renderStatus(w io.Writer, chains []*dispatcher.Chain) error {
	var b strings.Builder
	b.WriteString("CURRENT XDP PROGRAM STATUS:\n\n")
	fmt.Fprintf(&b, statusHead, "Interface", "Prio", "Program name", "Tag", "Chain actions")
	b.WriteString(strings.Repeat("-", 86) + "\n")
	for _, c := range chains {
		renderChain(&b, c)
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func renderChain(b *strings.Builder, c *dispatcher.Chain) {
	main := func(p *xdp.Loaded, mode xdp.Mode) {
		fmt.Fprintf(b, statusMain, column(c.Interface.Name, 16), "", column(p.Name, 17), mode, p.ID, p.Tag)
	}
	switch {
	case c.Err != nil && c.Dispatcher == nil:
		fmt.Fprintf(b, statusNone, column(c.Interface.Name, 16), "", "<"+output.Shown(c.Problem)+">")
	case c.Dispatcher != nil:
		main(c.Dispatcher, *c.Mode)
	case c.Legacy != nil:
		main(c.Legacy, *c.Mode)
	case c.Hardware == nil:
		fmt.Fprintf(b, statusNone, column(c.Interface.Name, 16), "", "<No XDP program loaded!>")
	}
	for _, p := range c.Programs {
		switch {
		case p.ID == 0 && c.Err != nil:
			p.Name = "<unknown>"
		case p.ID == 0:
			p.Name = "<gone>"
		}
		// xdp-loader takes the number for a signed one; --json has it as it is.
		fmt.Fprintf(b, statusPart, " =>", int32(p.Priority), column(p.Name, 16), "", p.ID, p.Tag, p.Actions)
	}
	if c.Hardware != nil {
		main(c.Hardware, xdp.ModeHW)
	}
}
