package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/cmd/internal/terminal"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/pending"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// statusTakenBack is the exit status of a change that was made and is taken back.
const statusTakenBack cmdline.ExitStatus = 3

func confirmCommand(out *output.Printer) *cli.Command {
	return endCommand(out, "confirm", "make a change last that waits to be confirmed", (*pending.Change).Confirm, caller)
}

func revertCommand(out *output.Printer) *cli.Command {
	return endCommand(out, "revert", "take a change back that waits to be confirmed", (*pending.Change).TakeBack,
		func() string { return caller() + " has reverted it" })
}

// endCommand is a command that ends a pending change.
func endCommand(out *output.Printer, name, usage string, end func(*pending.Change, context.Context, string) (pending.Outcome, error), why func() string) *cli.Command {
	return &cli.Command{
		Name:      name,
		Usage:     usage,
		ArgsUsage: "[ifname]",
		Description: "It ends the whole change that the interface is a part of, which may be one of several interfaces. Without a " +
			"name it is the only change that is pending.",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "json", Usage: cmdline.JSONUsage("how the change has ended")}},
		Action: func(c *cli.Context) error {
			if c.NArg() > 1 {
				return cmdline.UsageError(name+" takes one interface", "xdpmux "+name+" [ifname]")
			}
			change, err := pending.Find(c.Args().First())
			if err != nil {
				return err
			}
			defer change.Close()
			outcome, err := recordedEnd(c.Context, out, func(ctx context.Context) (pending.Outcome, error) { return end(change, ctx, why()) })
			if err != nil {
				return err
			}
			switch {
			case c.Bool("json") && outcome.Confirmed:
				return out.PrintJSON(confirmedJSON{true, outcome.Why})
			case c.Bool("json"):
				return out.PrintJSON(outcome)
			}
			for _, line := range ended(outcome) {
				fmt.Fprintln(out.Stdout, output.Shown(line))
			}
			return nil
		},
	}
}

// confirmedJSON is the shape of confirm --json.
type confirmedJSON struct {
	Confirmed bool   `json:"confirmed"`
	Why       string `json:"why"`
}

// caller is who has started xdpmux.
func caller() string {
	by := "root"
	if uid := os.Getuid(); uid != 0 {
		by = fmt.Sprintf("uid %d", uid)
	}
	if user := os.Getenv("SUDO_USER"); user != "" {
		by += " (" + user + ")"
	}
	return by
}

// ended says how a change has ended.
func ended(o pending.Outcome) []string {
	if o.Confirmed {
		return []string{"confirmed by " + o.Why}
	}
	lines := []string{"taken back: " + o.Why}
	for _, name := range o.Gone {
		lines = append(lines, name+" is gone, and what it had before with it")
	}
	for _, b := range o.Back {
		name := b.Interface.Name
		if !b.Whole {
			lines = append(lines, name+" was changed by others meanwhile; of this change was undone there: "+undone(b))
		}
		if b.Left != "" {
			lines = append(lines, name+": "+b.Left)
		}
	}
	return lines
}

// undone is what was done to a chain that others have changed.
func undone(b *dispatcher.Back) string {
	var all []string
	for _, part := range []struct {
		programs []xdp.Loaded
		what     string
	}{{b.Removed, "removed"}, {b.Returned, "back"}, {b.Reset, "as it was set before"}} {
		for _, p := range part.programs {
			all = append(all, fmt.Sprintf("%v is %s", p, part.what))
		}
	}
	if len(all) == 0 {
		return "nothing, as nothing of it was left"
	}
	return strings.Join(all, ", ")
}

// these are interfaces that are known by their names.
func these(names ...string) func() ([]string, error) {
	return func() ([]string, error) { return names, nil }
}

// tried calls make, which changes chains and says so before to changing. With --confirm or
// a guard it waits then until the change is confirmed or taken back. ifnames are the interfaces
// that make changes.
func tried(c *cli.Context, out *output.Printer, ifnames func() ([]string, error), make func(changing func(*dispatcher.Changing) error) error) error {
	opts, err := trialOptions(c)
	if err != nil {
		return err
	}
	if opts.Time == 0 {
		return make(pending.Refuse)
	}
	if opts.Guard != nil && opts.Guard.Drops != nil {
		if opts.Interfaces, err = ifnames(); err != nil {
			return err
		}
		out.Say("xdpmux: ", fmt.Sprintf("counts for %v what is dropped before the change", opts.Guard.Before))
	}
	opts.StartWaiter = startWaiter(out)
	t := &trial{Printer: out, netns: c.String("netns"), auto: opts.Auto, signals: heed()}
	defer signal.Stop(t.signals)
	t.Change, err = pending.Begin(c.Context, opts)
	if err != nil {
		return err
	}
	defer t.Close()
	failed := make(t.Hold(c.Context))
	ctx := context.WithoutCancel(c.Context) // a signal says what becomes of the change, see ask
	waits, err := t.Made(ctx)
	switch {
	case err != nil:
		_, notBack := t.TakeBack(ctx, err.Error())
		return errors.Join(failed, err, notBack)
	case !waits && failed != nil:
		return failed
	case !waits:
		out.Say("xdpmux: ", "nothing was changed, so there is nothing to confirm")
		return nil
	}
	var status cmdline.ExitStatus
	if failed != nil && !errors.As(failed, &status) {
		out.PrintError(failed)
		status = 1
	}
	if err := t.ask(ctx); err != nil || status == 0 {
		return err
	}
	return status
}

// trial is a change that waits to be confirmed, as its command sees it.
type trial struct {
	*output.Printer
	*pending.Change
	netns   string
	auto    bool // it is confirmed at the end of the time
	signals chan os.Signal
}

// heed tells of the first signal of those that end a command.
func heed() chan os.Signal {
	first := make(chan os.Signal, 1)
	signal.Notify(first, cmdline.UsualSignals()...)
	return first
}

// ask waits for a key that confirms the change, and shows how much time is left. Ctrl-C takes
// the change back. Any other end of this process leaves the change to the process that waits.
// Without a terminal ask only says how to confirm.
func (t *trial) ask(ctx context.Context) error {
	is, ok := t.info()
	if !ok {
		return t.over(t.Await(ctx))
	}
	select {
	case s := <-t.signals:
		return t.signalled(ctx, s, is)
	default:
	}
	keys, restore := terminal.ReadKeys()
	if keys == nil || !terminal.Drawable(t.Stderr) {
		restore()
		t.leave(is)
		return nil
	}
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	type end struct {
		pending.Outcome
		error
	}
	over := make(chan end, 1)
	go func() {
		o, err := recordedEnd(waiting, t.Printer, t.Await)
		over <- end{o, err}
	}()
	const clearLine = "\r\x1b[K"
	defer restore()
	for second := time.Tick(time.Second); ; {
		end := "and so does the end of the time, in"
		if t.auto {
			end = "and the end of the time keeps it, in"
		}
		fmt.Fprintf(t.Stderr, clearLine+"%s is changed. Enter or y keeps it, Ctrl-C takes it back, %s %v ",
			output.Shown(is.names), end, time.Until(is.Ends).Round(time.Second))
		select {
		case e := <-over:
			fmt.Fprint(t.Stderr, clearLine)
			return t.over(e.Outcome, e.error)
		case key := <-keys:
			if strings.ContainsRune("yY\r\n", rune(key)) {
				if _, err := t.Confirm(ctx, caller()); err != nil && !errors.Is(err, xdp.ErrNotPending) {
					fmt.Fprint(t.Stderr, clearLine)
					return err
				}
			}
		case s := <-t.signals:
			fmt.Fprint(t.Stderr, clearLine)
			return t.signalled(ctx, s, is)
		case <-second:
		}
	}
}

// pendingInfo is what the record says of a change.
type pendingInfo struct {
	pending.Info
	names string // of the interfaces
}

// info is what the record says of the change. ok is false if it has ended.
func (t *trial) info() (is pendingInfo, ok bool) {
	infos, _ := pending.List()
	for _, info := range infos {
		if info.ID == t.ID {
			return pendingInfo{info, namesOf(info.Interfaces)}, true
		}
	}
	return is, false
}

func namesOf(all []xdp.Interface) string {
	names := make([]string, len(all))
	for i, is := range all {
		names[i] = is.Name
	}
	return strings.Join(names, ", ")
}

func (t *trial) signalled(ctx context.Context, s os.Signal, is pendingInfo) error {
	signal.Stop(t.signals) // the next one ends the process
	if s != syscall.SIGINT {
		t.leave(is)
		return nil
	}
	o, err := recordedEnd(ctx, t.Printer, func(ctx context.Context) (pending.Outcome, error) { return t.TakeBack(ctx, "Ctrl-C") })
	if errors.Is(err, xdp.ErrNotPending) {
		o, err = t.Await(ctx)
	}
	return t.over(o, err)
}

// leave says how the change can be ended from elsewhere.
func (t *trial) leave(is pendingInfo) {
	call := "xdpmux "
	if t.netns != "" {
		call += "--netns " + t.netns + " "
	}
	name := is.Interfaces[0].Name
	end := fmt.Sprintf("at %s, in %v", is.Ends.Format("15:04:05"), time.Until(is.Ends).Round(time.Second))
	if t.auto {
		t.Say("xdpmux: ", fmt.Sprintf("the change of %s is confirmed %s, unless its guard fails; to confirm it before: %sconfirm %s", is.names, end, call, name))
	} else {
		t.Say("xdpmux: ", fmt.Sprintf("the change of %s is taken back %s, unless it is confirmed: %sconfirm %s", is.names, end, call, name))
	}
	t.Say("  ", "to take it back before: "+call+"revert "+name)
}

// over says how the change has ended.
func (t *trial) over(o pending.Outcome, err error) error {
	if err != nil {
		return err
	}
	for _, line := range ended(o) {
		t.Say("xdpmux: ", line)
	}
	if o.TakenBack() {
		return statusTakenBack
	}
	return nil
}

// commandLine is how xdpmux was called.
func commandLine() string {
	const limit = 200
	line := strings.Join(append([]string{"xdpmux"}, os.Args[1:]...), " ")
	if len(line) > limit {
		line = line[:limit] + "..."
	}
	return line
}
