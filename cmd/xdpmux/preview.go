package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/observer"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// dryRunFlag makes a command that changes chains tell what it would make of them.
var dryRunFlag = &cli.BoolFlag{Name: "dry-run", Usage: "change nothing, and print the chain as it would be; the verifier isn't asked"}

// previewJSONFlag is the --json of commands that print nothing else.
var previewJSONFlag = &cli.BoolFlag{Name: "json", Usage: "with --dry-run, " + cmdline.JSONUsage("the chain")}

// checkPreview refuses --json where nothing is printed.
func checkPreview(c *cli.Context) error {
	if c.Bool("json") && !c.Bool("dry-run") {
		return cmdline.UsageError("--json is for what --dry-run prints", "xdpmux status --json shows what runs afterwards")
	}
	if _, err := trialOptions(c); err != nil {
		return err
	}
	return checkRehearsal(c, c.Bool("dry-run"))
}

// change makes a change, and then calls tell, which may be nil. With --dry-run it prints
// what the change would make of the chain instead.
func change(c *cli.Context, out *output.Printer, ifname string, tx dispatcher.Transaction, tell func(*dispatcher.Committed)) error {
	if c.Bool("dry-run") {
		preview, err := tx.Preview(c.Context, ifname)
		if err != nil {
			return err
		}
		return showPreviews(c, out, []string{ifname}, tx, preview)
	}
	return tried(c, out, these(ifname), func(changing func(*dispatcher.Changing) error) error {
		tx.Changing = changing
		var done *dispatcher.Committed
		err := recorded(c.Context, out, func(ctx context.Context) (err error) {
			done, err = tx.Commit(ctx, ifname)
			return err
		}, ifname)
		if err == nil && tell != nil {
			tell(done)
		}
		return err
	})
}

// showPreviews prints chains as the change would make them. With --pcap or --live it goes on
// to tell what packets would meet.
func showPreviews(c *cli.Context, out *output.Printer, ifnames []string, tx dispatcher.Transaction, previews ...*dispatcher.Preview) error {
	if !rehearses(c) {
		return printPreviews(c, out, previews...)
	}
	changes, err := changesOf(c, ifnames, tx)
	if err != nil {
		return err
	}
	return rehearsePreviews(c, out, changes, previews...)
}

// rehearsePreviews prints chains as the changes would make them, and tells what packets would
// meet.
func rehearsePreviews(c *cli.Context, out *output.Printer, changes []observer.Change, previews ...*dispatcher.Preview) error {
	if !c.Bool("json") {
		if err := printPreviews(c, out, previews...); err != nil {
			return err
		}
	}
	return startRehearsal(c, out, changes...)
}

// printPreviews prints chains as they would be.
func printPreviews(c *cli.Context, out *output.Printer, previews ...*dispatcher.Preview) error {
	if c.Bool("json") {
		return out.PrintJSON(previews)
	}
	err := renderPreviews(out.Stdout, previews)
	for _, p := range previews {
		if lost := p.CheckMTU(); lost != nil {
			out.WarnOf(lost)
		}
	}
	return err
}

// renderPreviews prints the table of status, with "new" for the id of what would be
// loaded, and its file for its tag.
func renderPreviews(w io.Writer, previews []*dispatcher.Preview) error {
	var b strings.Builder
	b.WriteString("XDP PROGRAMS AS THEY WOULD BE:\n\n")
	fmt.Fprintf(&b, statusHead, "Interface", "Prio", "Program name", "Tag", "Chain actions")
	b.WriteString(strings.Repeat("-", 86) + "\n")
	for _, p := range previews {
		name := column(p.Interface.Name, 16)
		if len(p.Programs) == 0 {
			fmt.Fprintf(&b, statusNone, name, "", "<No XDP program loaded!>")
			continue
		}
		mode := xdp.ModeUnspecified
		if p.Mode != nil {
			mode = *p.Mode
		}
		dispatcherID := "new"
		if !p.Changed {
			dispatcherID = ""
		}
		fmt.Fprintf(&b, "%s %-5s %s %-8s %-4s\n", name, "", column("xdp_dispatcher", 17), mode, dispatcherID)
		for _, prog := range p.Programs {
			id, tag := "new", output.Shown(prog.File)
			if prog.ID != 0 {
				id, tag = fmt.Sprint(prog.ID), prog.Tag
			}
			fmt.Fprintf(&b, "%-16s %-5d  %s %-8s %-4s %-17s %s\n", " =>", int32(prog.Priority), column(prog.Name, 16), "", id, tag, prog.Actions)
		}
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}
