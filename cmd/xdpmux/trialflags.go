package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/dispatcher/pending"
)

// The times of a change that is tried, where no option gives another.
const (
	guardedTime   = time.Minute // how long a guard watches without --confirm
	guardInterval = 5 * time.Second
	guardTimeout  = 10 * time.Second
	dropsBefore   = time.Minute
)

// trialFlags make a command that changes chains wait for a confirmation.
func trialFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "confirm", Usage: "take the change back after `TIME`, such as 60s or 5m, unless it is confirmed: by Enter or y here, or by xdpmux confirm from anywhere"},
		&cli.StringFlag{Name: "guard", Usage: "take the change back as soon as the shell's `COMMAND` fails; without --confirm, confirm it after a minute if that has not failed"},
		&cli.StringFlag{Name: "guard-interval", Usage: "run the guard, and look at the drops, each `TIME` (default: 5s)"},
		&cli.StringFlag{Name: "guard-timeout", Usage: "let a run of the guard's command take `TIME` at most (default: 10s)"},
		&cli.StringFlag{Name: "guard-drops", Usage: "take the change back as soon as the chain drops a share of packets that is `PERCENT` greater than in the minute before the change, which waits that long"},
		&cli.StringFlag{Name: "guard-before", Usage: "with --guard-drops: count for `TIME` before the change instead of a minute"},
	}
}

// trialOptions reads trialFlags. Without --confirm and a guard its Time is 0.
func trialOptions(c *cli.Context) (pending.Options, error) {
	opts := pending.Options{By: caller(), Command: commandLine(), StartWaiter: startWaiter}
	guarded := c.IsSet("guard") || c.IsSet("guard-drops")
	if !guarded {
		for _, name := range []string{"guard-interval", "guard-timeout", "guard-before"} {
			if c.IsSet(name) {
				return opts, cmdline.UsageError("--"+name+" is for a guard, and there is none", "--guard COMMAND, or --guard-drops PERCENT")
			}
		}
	}
	if !guarded && !c.IsSet("confirm") {
		return opts, nil
	}
	if c.Bool("dry-run") {
		return opts, cmdline.UsageError("--confirm is for a change, and --dry-run makes none", "")
	}
	var err error
	if opts.Time, err = readTime(c, "confirm", guardedTime); err != nil || !guarded {
		return opts, err
	}
	opts.Auto = !c.IsSet("confirm")
	opts.Guard, err = guard(c)
	return opts, err
}

// guard reads the flags of a guard.
func guard(c *cli.Context) (*pending.Guard, error) {
	g := &pending.Guard{Name: c.String("guard"), Env: os.Environ()}
	if c.IsSet("guard") {
		if strings.TrimSpace(g.Name) == "" {
			return nil, cmdline.UsageError("--guard names no command", "such as --guard 'ping -c 1 192.0.2.1'")
		}
		g.Command = []string{"/bin/sh", "-c", g.Name}
	}
	var err error
	if g.Dir, err = os.Getwd(); err != nil {
		return nil, err
	}
	for _, t := range []struct {
		name      string
		otherwise time.Duration
		to        *time.Duration
	}{{"guard-interval", guardInterval, &g.Interval}, {"guard-timeout", guardTimeout, &g.Timeout}, {"guard-before", dropsBefore, &g.Before}} {
		if *t.to, err = readTime(c, t.name, t.otherwise); err != nil {
			return nil, err
		}
	}
	if c.IsSet("guard-drops") {
		percent, err := strconv.ParseFloat(strings.TrimSuffix(c.String("guard-drops"), "%"), 64)
		if err != nil || percent < 0 || percent > 100 {
			return nil, cmdline.UsageError(fmt.Sprintf("--guard-drops %q is not a number from 0 to 100", c.String("guard-drops")), "such as --guard-drops 5")
		}
		g.Drops = &percent
	}
	return g, nil
}

// readTime reads an option that is a time.
func readTime(c *cli.Context, name string, otherwise time.Duration) (time.Duration, error) {
	if !c.IsSet(name) {
		return otherwise, nil
	}
	text, unit := c.String(name), ""
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		unit = "s"
	}
	t, err := time.ParseDuration(text + unit)
	remedy := fmt.Sprintf("such as --%[1]s 60s, --%[1]s 5m, or --%[1]s 60 for seconds", name)
	switch {
	case err != nil || t < time.Second:
		return 0, cmdline.UsageError(fmt.Sprintf("--%s %q is not a time of a second or more", name, text), remedy)
	case t > pending.Longest:
		return 0, cmdline.UsageError(fmt.Sprintf("--%s %s is more than a day", name, text), remedy)
	}
	return t, nil
}
