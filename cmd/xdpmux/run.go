package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/images"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/inspect"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/dispatcher/pending"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func runCommand(out *output.Printer) *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "load a program, print what it counts, and unload it at the end or on Ctrl-C",
		ArgsUsage: "<ifname> <file>[@setting,...]",
		Flags: append(loadFlags(),
			&cli.StringFlag{Name: "map", Usage: "print the total of the map of this `NAME` (default: the only one with numbers)"},
			cmdline.IntervalFlag("print a line", "i"),
			cmdline.CountFlag("lines"),
			&cli.BoolFlag{Name: "json", Usage: "print each line as JSON"},
		),
		Action: func(c *cli.Context) error { return withMapSize(runForeground(c, out)) },
	}
}

func runForeground(c *cli.Context, out *output.Printer) (err error) {
	if c.NArg() != 2 {
		return cmdline.UsageError("run needs an interface and a file", "xdpmux run [options] <ifname> <file>[@setting,...]")
	}
	interval, err := cmdline.ParseInterval(c.String("interval"))
	if err != nil {
		return err
	}
	count, err := cmdline.ParseCount(c)
	if err != nil {
		return err
	}
	program, opts, err := loadOptions(c)
	if err != nil {
		return err
	}
	opts.Warn, opts.BeforeSwap, opts.Changing = out.WarnOf, record(out), pending.Refuse
	ifname := c.Args().First()
	if program, err = parseFileSpec(c.Args().Get(1), program); err != nil {
		return err
	}
	// Before anything is loaded: a wrong name leaves the chain alone.
	if err := images.FetchPrograms(c.Context, out, c.StringSlice("verify-key"), &program); err != nil {
		return err
	}
	if program.Data == nil {
		if program.Data, err = inspect.ReadFile(c.Context, program.File); err != nil {
			return err
		}
	}
	object, err := inspect.Read(program.File, program.Data)
	if err != nil {
		return err
	}
	name, err := chooseCounter(object, c.String("map"))
	if err != nil {
		return err
	}
	ctx, again, release := holdSignals(c.Context)
	defer release()
	attached, err := attach(ctx, out, []string{ifname}, []xdp.Program{program}, opts)
	if err != nil {
		return err
	}
	done := attached[0]
	where, id := done.Interface, done.Programs[0].ID
	defer func() {
		detachErr := takeBack(again, out, where, id)
		release()
		switch {
		case errors.Is(detachErr, xdp.ErrNoProgram):
			out.Warn("program %d was unloaded from %s by somebody else", id, ifname)
		case detachErr != nil:
			err = detachErr // it matters more than what ended the run
		}
	}()
	warnFallback(out, done)
	counter, err := maps.Open(id, name)
	if err != nil {
		return err
	}
	defer counter.Close()
	stillThere := func() error {
		_, err := nowCalled(where, id)
		return err
	}
	var columns rateColumns
	line := func(r rate) (string, error) { return columns.line(r.total, r.perSecond) + "\n", nil }
	if c.Bool("json") {
		line = func(r rate) (string, error) { return r.json(where, done.Programs[0].Loaded, counter) }
	}
	return printRates(ctx, out.Stdout, counter, interval, count, stillThere, line)
}

// chooseCounter picks the map of an object file to print: the one with that name, or, if
// the name is empty, the only one with numbers.
func chooseCounter(o *inspect.Object, name string) (string, error) {
	var all, numeric []string
	for _, m := range o.Maps {
		if m.Name == name && m.Numeric {
			return name, nil
		}
		if m.Name == name {
			return "", cmdline.UsageError(fmt.Sprintf("the values of map %s aren't numbers", name), "xdpmux map dump --watch shows them")
		}
		all = append(all, m.Name)
		if m.Numeric {
			numeric = append(numeric, m.Name)
		}
	}
	listed := func(names []string) string {
		if len(names) == 0 {
			return "it has none"
		}
		return "its maps: " + strings.Join(names, ", ")
	}
	switch {
	case name != "":
		return "", &xdp.Error{Kind: xdp.ErrNoMap, Msg: fmt.Sprintf("%s has no map %q", o.File, name), Remedy: listed(all)}
	case len(numeric) == 1:
		return numeric[0], nil
	case len(numeric) == 0 && !o.BTF:
		return "", cmdline.UsageError(o.File+" has no type information (BTF), so no map is known to hold numbers", "compile it with -g")
	case len(numeric) == 0:
		return "", cmdline.UsageError(o.File+" has no map of numbers to print", listed(all))
	}
	return "", cmdline.UsageError(fmt.Sprintf("%s has %d maps of numbers", o.File, len(numeric)), "choose one with --map: "+strings.Join(numeric, ", "))
}

// patience is how long after a signal run takes no notice of further ones. Somebody who
// presses Ctrl-C twice at once means no more than once.
const patience = time.Second

// holdSignals keeps signals from ending the process, as its program would stay loaded. The
// first signal ends ctx, and with it the run. A later one ends again; a SIGHUP doesn't
// count, as a lost terminal sends two. A while after that, or after release, signals do
// again what they did.
func holdSignals(parent context.Context) (ctx, again context.Context, release func()) {
	ctx, stop := context.WithCancel(parent)
	again, giveUp := context.WithCancel(context.Background())
	released, end := context.WithCancel(context.Background())
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, cmdline.EverySignal()...)
	go func() {
		defer close(done)
		defer signal.Stop(signals)
		for first := (time.Time{}); again.Err() == nil; {
			select {
			case <-released.Done():
				return
			case s := <-signals:
				stop()
				switch {
				case s == syscall.SIGHUP:
				case first.IsZero():
					first = time.Now()
				case time.Since(first) > patience:
					giveUp()
				}
			}
		}
		cmdline.Wait(released, time.After(patience))
	}()
	return ctx, again, func() {
		end()
		<-done
		stop()
		giveUp()
	}
}

// detachTries is how often run tries to unload from a chain that others change.
const detachTries = 10

// takeBack unloads the program that run has loaded. The interface may have another name by
// now. [xdp.ErrNoProgram] says that the program isn't there any more.
func takeBack(ctx context.Context, out *output.Printer, where xdp.Interface, id uint32) error {
	for try := 1; ; try++ {
		now, err := nowCalled(where, id)
		if err != nil {
			return err
		}
		err = recorded(ctx, out, func(ctx context.Context) error {
			return dispatcher.Detach(ctx, now.Name, id, dispatcher.DetachOptions{})
		}, now.Name)
		switch {
		case ctx.Err() != nil && err != nil:
			// Without the cause, context.Canceled: that is no more than "interrupted".
			return &xdp.Error{Kind: xdp.ErrBusy,
				Msg:    fmt.Sprintf("interrupted: program %d stays loaded on %s", id, now.Name),
				Remedy: fmt.Sprintf("unload it: xdpmux unload %s -i %d", now.Name, id)}
		case try == detachTries:
			return err
		case errors.Is(err, xdp.ErrBusy):
		case (errors.Is(err, xdp.ErrNoInterface) || errors.Is(err, xdp.ErrNoProgram)) && isAnother(ctx, now):
		default:
			return err
		}
	}
}

// isAnother says whether the name of an interface is now that of another one, or of none.
func isAnother(ctx context.Context, was xdp.Interface) bool {
	chain, err := dispatcher.Status(ctx, was.Name)
	return chain != nil && chain.Interface.Index != was.Index || errors.Is(err, xdp.ErrNoInterface)
}

// nowCalled is an interface under the name that it has now.
func nowCalled(where xdp.Interface, id uint32) (xdp.Interface, error) {
	now, err := dispatcher.InterfaceByIndex(where.Index)
	if errors.Is(err, xdp.ErrNoInterface) {
		return now, &xdp.Error{Kind: xdp.ErrNoInterface, Err: err,
			Msg:    fmt.Sprintf("interface %s is gone from this network namespace, and program %d with it", where.Name, id),
			Remedy: "xdpmux clean removes the pins that it has left"}
	}
	return now, err
}

// printRates prints a line each interval. It ends with ctx, after count lines unless count
// is 0, and when stillThere returns an error.
func printRates(ctx context.Context, w io.Writer, m *maps.Map, interval time.Duration, count uint, stillThere func() error, line func(rate) (string, error)) error {
	before, err := m.Total(ctx)
	if err != nil {
		return ignoreEnd(ctx, err)
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for last, n := time.Now(), uint(0); count == 0 || n < count; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := stillThere(); err != nil {
			return err
		}
		total, err := m.Total(ctx)
		if err != nil {
			return ignoreEnd(ctx, err)
		}
		now := time.Now()
		seconds := now.Sub(last).Seconds()
		text, err := line(rate{now, seconds, total, float64(int64(total-before)) / seconds})
		if err != nil {
			return err
		}
		if _, err := io.WriteString(w, text); err != nil {
			return ignoreEnd(ctx, err)
		}
		before, last = total, now
	}
	return nil
}

// rate is what the counter says at a time.
type rate struct {
	at        time.Time
	seconds   float64 // since the one before
	total     uint64
	perSecond float64
}

// rateJSON is the shape of a line of run --json.
type rateJSON struct {
	Time      time.Time     `json:"time"`
	Seconds   float64       `json:"seconds"` // since the line before: what the rate is over
	Interface xdp.Interface `json:"interface"`
	Program   xdp.Loaded    `json:"program"`
	Map       maps.Info     `json:"map"`
	Total     uint64        `json:"total"`
	PerSecond float64       `json:"per_second"`
}

func (r rate) json(where xdp.Interface, program xdp.Loaded, m *maps.Map) (string, error) {
	var b strings.Builder
	err := output.NewJSON(&b).Encode(rateJSON{r.at, r.seconds, where, program, m.Info, r.total, r.perSecond})
	return b.String(), err
}

// ignoreEnd is err, and nil after the end of ctx.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// rateColumns are the widths of the columns, of the widest numbers so far.
type rateColumns struct{ total, rate int }

func (c *rateColumns) line(total uint64, perSecond float64) string {
	t, r := thousands(strconv.FormatUint(total, 10)), thousands(strconv.FormatFloat(perSecond, 'f', 0, 64))
	c.total, c.rate = max(c.total, len(t)), max(c.rate, len(r))
	return fmt.Sprintf("total %*s  %*s pkt/s", c.total, t, c.rate, r)
}

// thousands separates the digits of a whole number by commas, as in "2,133".
func thousands(digits string) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}
