package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/dispatcher"
)

func runCommand(out *output) *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "load a program, print what it counts, and unload it at the end or on Ctrl-C",
		ArgsUsage: "<ifname> <file>[@setting,...]",
		Flags: append(loadFlags(),
			&cli.StringFlag{Name: "map", Usage: "print the total of the map of this `NAME` (default: the only one with numbers)"},
			intervalFlag("print a line", "i"),
			countFlag("lines"),
		),
		Action: func(c *cli.Context) error { return withMapSize(runForeground(c, out)) },
	}
}

func runForeground(c *cli.Context, out *output) (err error) {
	if c.NArg() != 2 {
		return usageError("run needs an interface and a file", "xdpmux run [options] <ifname> <file>[@setting,...]")
	}
	interval, err := parseInterval(c.String("interval"))
	if err != nil {
		return err
	}
	count, err := parseCount(c)
	if err != nil {
		return err
	}
	program, opts, err := loadOptions(c)
	if err != nil {
		return err
	}
	opts.Warn, opts.BeforeSwap = out.warnOf, out.record
	ifname := c.Args().First()
	if program, err = parseFileSpec(c.Args().Get(1), program); err != nil {
		return err
	}
	// Before anything is loaded: a wrong name leaves the chain alone.
	if program.Data, err = dispatcher.ReadObject(c.Context, program.File); err != nil {
		return err
	}
	object, err := dispatcher.InspectData(program.File, program.Data)
	if err != nil {
		return err
	}
	name, err := chooseCounter(object, c.String("map"))
	if err != nil {
		return err
	}
	done, err := dispatcher.Attach(c.Context, ifname, []dispatcher.Program{program}, opts)
	if err != nil {
		return err
	}
	id := done.Programs[0].ID
	defer func() {
		if detachErr := takeBack(c.Context, out, ifname, id); detachErr != nil {
			err = detachErr // it matters more than what ended the run
		}
	}()
	warnFallback(out, done)
	counter, err := dispatcher.OpenMap(id, name)
	if err != nil {
		return err
	}
	defer counter.Close()
	return printRates(c.Context, out.stdout, counter, interval, count)
}

// chooseCounter picks the map of an object file to print: the one with that name,
// or the only one with numbers for an empty name.
func chooseCounter(o *dispatcher.Object, name string) (string, error) {
	var all, numeric []string
	for _, m := range o.Maps {
		if m.Name == name && m.Numeric {
			return name, nil
		}
		if m.Name == name {
			return "", usageError(fmt.Sprintf("the values of map %s aren't numbers", name), "xdpmux map dump --watch shows them")
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
		return "", &dispatcher.Error{Kind: dispatcher.ErrNoMap, Msg: fmt.Sprintf("%s has no map %q", o.File, name), Remedy: listed(all)}
	case len(numeric) == 1:
		return numeric[0], nil
	case len(numeric) == 0 && !o.BTF:
		return "", usageError(o.File+" has no type information (BTF), so no map is known to hold numbers", "compile it with -g")
	case len(numeric) == 0:
		return "", usageError(o.File+" has no map of numbers to print", listed(all))
	}
	return "", usageError(fmt.Sprintf("%s has %d maps of numbers", o.File, len(numeric)), "choose one with --map: "+strings.Join(numeric, ", "))
}

// detachTries is how often a chain that others change is tried to be left.
const detachTries = 10

// takeBack unloads the program that run has loaded, also when ctx has ended.
func takeBack(ctx context.Context, out *output, ifname string, id uint32) error {
	ctx = context.WithoutCancel(ctx)
	err := dispatcher.Detach(ctx, ifname, id)
	for try := 1; try < detachTries && errors.Is(err, dispatcher.ErrBusy); try++ {
		err = dispatcher.Detach(ctx, ifname, id)
	}
	if errors.Is(err, dispatcher.ErrNoProgram) {
		out.warn("program %d was unloaded from %s by somebody else", id, ifname)
		return nil
	}
	return err
}

// printRates prints a line each interval until ctx ends or count lines are
// printed; 0: no limit.
func printRates(ctx context.Context, w io.Writer, m *dispatcher.Map, interval time.Duration, count uint) error {
	before, err := m.Total(ctx)
	if err != nil {
		return ignoreEnd(ctx, err)
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var columns rateColumns
	for last, n := time.Now(), uint(0); count == 0 || n < count; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		total, err := m.Total(ctx)
		if err != nil {
			return ignoreEnd(ctx, err)
		}
		now := time.Now()
		perSecond := float64(int64(total-before)) / now.Sub(last).Seconds()
		if _, err := fmt.Fprintln(w, columns.line(total, perSecond)); err != nil {
			return err
		}
		before, last = total, now
	}
	return nil
}

// ignoreEnd leaves out errors that are only ctx's.
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
