package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func traceLive(c *cli.Context, out *output.Printer) (err error) {
	options := observe.LiveOptions{Program: c.String("name")}
	count, err := cmdline.ParseCount(c)
	if err != nil {
		return err
	}
	if c.IsSet("id") {
		if options.ID, err = cmdline.ParseID(c.String("id"), c.Args().First()); err != nil {
			return err
		}
	}
	if options.Verdicts, err = parseVerdicts(c.String("verdict")); err != nil {
		return err
	}
	if options.OneIn, err = parseSample(c.String("sample")); err != nil {
		return err
	}
	if options.At, err = parseAt(c.String("at")); err != nil {
		return err
	}
	l, err := observe.OpenLive(c.Context, c.Args().First(), options)
	if err != nil {
		return err
	}
	defer l.Close()
	var file *pointWriter
	if c.IsSet("write") {
		if file, err = createPoints(out, c.Args().First(), c.String("write"), c.Bool("force"), options.At, nil); err != nil {
			return err
		}
		// What was on the wire doesn't come again. So the file stays, whatever ends the trace.
		defer func() {
			file.statistics(l.Taken())
			err = errors.Join(err, file.keep())
		}()
		file.begin(l.Taken())
	}
	d := newDissector()
	p := newTracePrinter(linesOf(c, out), c.Bool("json"), nil)
	for n := uint(0); count == 0 || n < count; n++ {
		t, err := l.Next(c.Context)
		if err != nil && c.Context.Err() != nil {
			break
		}
		if err != nil {
			return err
		}
		if file != nil {
			if file.add(int(n)+1, t, 0) != nil || file.live() && !l.Ready() && file.Flush() != nil {
				break // keep returns the error
			}
		}
		if err := p.print(int(n)+1, t, d.summary(t.Data), t.Length, t.Length); err != nil {
			return err
		}
	}
	if missed := l.Missed(); missed > 0 {
		out.Warn("%d packets are not shown, as the chain was changed at that time", missed)
	}
	if lost := l.Lost(); lost > 0 {
		out.Warn("%d packets came too fast to be shown; --sample shows a part of them", lost)
	}
	return p.totals()
}

// parseVerdicts reads names joined by commas; nil: all.
func parseVerdicts(list string) ([]int, error) {
	if list == "" {
		return nil, nil
	}
	var verdicts []int
	for _, name := range strings.Split(list, ",") {
		v := slices.Index(observe.VerdictNames(), name) // "other" too
		if known, err := xdp.ParseVerdict(name); err == nil {
			v = int(known)
		}
		if v < 0 {
			return nil, cmdline.UsageError(fmt.Sprintf("unknown verdict %q", name), "verdicts: "+strings.Join(observe.VerdictNames(), ", "))
		}
		verdicts = append(verdicts, v)
	}
	return verdicts, nil
}

// parseSample reads "1/100".
func parseSample(s string) (uint32, error) {
	if number, ok := strings.CutPrefix(s, "1/"); ok {
		if n, err := strconv.ParseUint(number, 10, 32); err == nil && n > 0 {
			return uint32(n), nil
		}
	}
	return 0, cmdline.UsageError(fmt.Sprintf("%q is not a part such as 1/100", s), "")
}
