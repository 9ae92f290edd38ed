package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/history"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func historyCommand(out *output.Printer) *cli.Command {
	return &cli.Command{
		Name:  "history",
		Usage: "show what was changed, by whom, and how it ended, the newest first",
		Description: "Each change through xdpmux is recorded, the failed ones too. What another tool has changed is noticed " +
			"by the next change through xdpmux, and by this command. The oldest records go when there are too many.\n\n" +
			"systemd's journal has each record as one entry: journalctl -t xdpmux",
		ArgsUsage: "[ifname]...",
		Flags:     []cli.Flag{&cli.BoolFlag{Name: "json", Usage: cmdline.JSONUsage("the records")}},
		Action:    func(c *cli.Context) error { return showHistory(c, out) },
	}
}

func showHistory(c *cli.Context, out *output.Printer) error {
	if err := history.Look(c.Context, ""); err != nil {
		if errors.Is(err, xdp.ErrPermission) {
			return err
		}
		out.Warn("what other tools have changed since the newest record isn't known: %v", err)
	}
	h, err := history.Read("", cmdline.InterfaceArgs(c.Args().Slice())...)
	if err != nil {
		return err
	}
	if h.Damaged > 0 {
		out.Warn("%s of the history can't be read, and what was recorded there is lost", plural(h.Damaged, "line"))
	}
	if c.Bool("json") {
		return out.PrintJSON(append([]*history.Record{}, h.Records...))
	}
	return renderHistory(out.Stdout, h.Records)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// renderHistory prints a paragraph for each record.
func renderHistory(w io.Writer, records []*history.Record) error {
	var b strings.Builder
	for i, r := range records {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%d  %s  %s  %s", r.Number, r.Time.Local().Format("2006-01-02 15:04:05"), output.Shown(r.Interface.Name), r.Outcome)
		if r.User != nil {
			b.WriteString("  by " + userShown(r.User))
		}
		b.WriteByte('\n')
		switch {
		case r.Outcome == history.Found:
			b.WriteString("  changed by another tool\n")
		default:
			fmt.Fprintf(&b, "  %s\n", strings.Join(output.ShownAll(r.Command), " "))
		}
		if r.Why != "" {
			fmt.Fprintf(&b, "  takes a change back: %s\n", output.Shown(r.Why))
		}
		if r.Error != "" {
			fmt.Fprintf(&b, "  %s\n", output.Shown(r.Error))
		}
		renderDifference(&b, r.Before, r.After)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func userShown(u *history.User) string {
	text := "root"
	if u.UID != 0 {
		text = fmt.Sprint("user ", u.UID)
	}
	if u.SudoUser != "" {
		text += " (sudo: " + output.Shown(u.SudoUser) + ")"
	}
	return text
}

// renderDifference prints a line for each program that came, went, or got another place.
func renderDifference(b *strings.Builder, before, after *history.Chain) {
	was, is := placesOf(before), placesOf(after)
	line := func(mark string, p placed) {
		fmt.Fprintf(b, "  %s %d %s%s", mark, p.ID, output.Shown(p.Name), p.place)
		if p.File != "" && mark != "~" {
			b.WriteString(", from " + output.Shown(p.File))
		}
		b.WriteByte('\n')
	}
	for _, p := range was {
		if _, stays := find(is, p.ID); !stays {
			line("-", p)
		}
	}
	for _, p := range is {
		old, stayed := find(was, p.ID)
		switch {
		case !stayed:
			line("+", p)
		case old.place != p.place:
			line("~", p)
		}
	}
	if before != nil && after != nil && before.Version != after.Version && before.Version != 0 && after.Version != 0 {
		fmt.Fprintf(b, "  ~ a dispatcher of version %d, before %d\n", after.Version, before.Version)
	}
}

// placed is a program and how it takes its place.
type placed struct {
	xdp.Loaded
	history.Source
	place string
}

func placesOf(c *history.Chain) (all []placed) {
	if c == nil {
		return nil
	}
	for _, p := range c.Programs {
		all = append(all, placed{p.Loaded, p.Source, fmt.Sprintf(", priority %d, actions %v", p.Priority, p.Actions)})
	}
	if c.Legacy != nil {
		all = append(all, placed{c.Legacy.Loaded, c.Legacy.Source, ", without a dispatcher"})
	}
	if c.Hardware != nil {
		all = append(all, placed{c.Hardware.Loaded, c.Hardware.Source, ", offloaded"})
	}
	return all
}

func find(all []placed, id uint32) (placed, bool) {
	for _, p := range all {
		if p.ID == id {
			return p, true
		}
	}
	return placed{}, false
}
