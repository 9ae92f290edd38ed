package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/dispatcher"
)

func statusCommand(out *output) *cli.Command {
	return &cli.Command{
		Name:      "status",
		Usage:     "show the XDP programs of an interface, or of all",
		ArgsUsage: "[ifname]",
		Flags:     []cli.Flag{&cli.BoolFlag{Name: "json", Usage: jsonUsage("the programs")}},
		Action:    func(c *cli.Context) error { return status(c, out) },
	}
}

func status(c *cli.Context, out *output) error {
	chains, err := chainsOf(c)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return out.printJSON(chains)
	}
	return renderStatus(out.stdout, chains)
}

func chainsOf(c *cli.Context) ([]*dispatcher.Chain, error) {
	switch c.NArg() {
	case 0:
		return dispatcher.StatusAll(c.Context)
	case 1:
		chain, err := dispatcher.Status(c.Context, c.Args().First())
		return []*dispatcher.Chain{chain}, err
	}
	return nil, usageError("status takes one interface", "xdpmux status [ifname]")
}

// The columns of xdp-loader's table, whose text this is byte for byte.
const (
	statusHead = "%-16s %-5s %-17s Mode     ID   %-17s %s\n"
	statusMain = "%-16s %-5s %-17s %-8s %-4d %-17s\n"
	statusPart = "%-16s %-5d  %-16s %-8s %-4d %-17s %s\n"
	statusNone = "%-16s %-5s %s\n"
)

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
	main := func(p *dispatcher.Loaded, mode dispatcher.Mode) {
		fmt.Fprintf(b, statusMain, c.Interface.Name, "", p.Name, mode, p.ID, p.Tag)
	}
	switch {
	case c.Dispatcher != nil:
		main(c.Dispatcher, *c.Mode)
	case c.Legacy != nil:
		main(c.Legacy, *c.Mode)
	case c.Hardware == nil:
		fmt.Fprintf(b, statusNone, c.Interface.Name, "", "<No XDP program loaded!>")
	}
	for _, p := range c.Programs {
		fmt.Fprintf(b, statusPart, " =>", p.Priority, p.Name, "", p.ID, p.Tag, p.Actions)
	}
	if c.Hardware != nil {
		main(c.Hardware, dispatcher.ModeHW)
	}
}
