package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/pending"
)

// trialFlags make a command that changes chains wait for a confirmation.
func trialFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "confirm", Usage: "take the change back after `TIME`, such as 60s or 5m, unless it is confirmed: by Enter or y here, or by xdpmux confirm from anywhere; 0: make it for good"},
		&cli.StringFlag{Name: "guard", Usage: "take the change back as soon as the shell's `COMMAND` fails; without --confirm, confirm it after a minute if that has not failed"},
		&cli.StringFlag{Name: "guard-interval", Usage: "run the guard, and look at the drops, each `TIME` (default: 5s)"},
		&cli.StringFlag{Name: "guard-timeout", Usage: "let a run of the guard's command take `TIME` at most (default: 10s)"},
		&cli.StringFlag{Name: "guard-drops", Usage: "take the change back as soon as the chain drops a share of packets that is `PERCENT` greater than in the minute before the change, which waits that long"},
		&cli.StringFlag{Name: "guard-before", Usage: "with --guard-drops: count for `TIME` before the change instead of a minute"},
	}
}

// timesOfGuard are options that mean nothing without a guard.
var timesOfGuard = []string{"guard-interval", "guard-timeout", "guard-before"}

func guarded(c *cli.Context) bool { return c.IsSet("guard") || c.IsSet("guard-drops") }

// trialOptions reads trialFlags. Without --confirm and a guard its Time is 0.
func trialOptions(c *cli.Context) (pending.Options, error) {
	opts := pending.Options{By: caller(), Command: commandLine()}
	guarded := guarded(c)
	if !guarded {
		for _, name := range timesOfGuard {
			if c.IsSet(name) {
				return opts, cmdline.UsageError("--"+name+" is for a guard, and there is none", "--guard COMMAND, or --guard-drops PERCENT")
			}
		}
	}
	if !guarded && !c.IsSet("confirm") {
		return opts, nil
	}
	if forGood(c) && guarded {
		return opts, cmdline.UsageError("--confirm 0 makes a change for good, and a guard may take it back", "one of the two")
	}
	if c.Bool("dry-run") {
		return opts, cmdline.UsageError("--confirm is for a change, and --dry-run makes none", "")
	}
	if forGood(c) {
		return opts, nil
	}
	var err error
	if opts.Time, err = readTime(c, "confirm", pending.GuardedTime); err != nil || !guarded {
		return opts, err
	}
	opts.Auto = !c.IsSet("confirm")
	opts.Guard, err = guard(c)
	return opts, err
}

// forGood says whether --confirm 0 is given: a change is made for good, also where a state file
// would have it tried.
func forGood(c *cli.Context) bool {
	t, err := parseTime(c.String("confirm"))
	return c.IsSet("confirm") && err == nil && t == 0
}

// trialOf sets the options of trialFlags that the command line leaves out to what the state says.
func trialOf(c *cli.Context, state *desired.State) error {
	if forGood(c) {
		return nil
	}
	drops := ""
	if state.GuardDrops != nil {
		drops = strconv.Itoa(*state.GuardDrops)
	}
	for _, option := range []struct{ name, value string }{
		{"confirm", seconds(state.Confirm)}, {"guard", state.Guard}, {"guard-drops", drops},
		{"guard-interval", seconds(state.GuardInterval)}, {"guard-timeout", seconds(state.GuardTimeout)}, {"guard-before", seconds(state.GuardBefore)},
	} {
		ofGuard := slices.Contains(timesOfGuard, option.name)
		if option.value == "" || c.IsSet(option.name) || ofGuard && !guarded(c) {
			continue
		}
		if err := c.Set(option.name, option.value); err != nil {
			return err
		}
	}
	return nil
}

// seconds is a time of a state file as an option has it; empty: the file says nothing.
func seconds(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%ds", n)
}

// guard reads the flags of a guard.
func guard(c *cli.Context) (*pending.Guard, error) {
	if c.IsSet("guard") && strings.TrimSpace(c.String("guard")) == "" {
		return nil, cmdline.UsageError("--guard names no command", "such as --guard 'ping -c 1 192.0.2.1'")
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	g := cmdline.ShellGuard(c.String("guard"), dir)
	for _, t := range []struct {
		name      string
		otherwise time.Duration
		to        *time.Duration
	}{{"guard-interval", pending.GuardInterval, &g.Interval}, {"guard-timeout", pending.GuardTimeout, &g.Timeout}, {"guard-before", pending.DropsBefore, &g.Before}} {
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
	text := c.String(name)
	t, err := parseTime(text)
	remedy := fmt.Sprintf("such as --%[1]s 60s, --%[1]s 5m, or --%[1]s 60 for seconds", name)
	switch {
	case err != nil || t < time.Second:
		return 0, cmdline.UsageError(fmt.Sprintf("--%s %q is not a time of a second or more", name, text), remedy)
	case t > pending.Longest:
		return 0, cmdline.UsageError(fmt.Sprintf("--%s %s is more than a day", name, text), remedy)
	}
	return t, nil
}

// parseTime reads a time. A number without a unit is one of seconds.
func parseTime(text string) (time.Duration, error) {
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		text += "s"
	}
	return time.ParseDuration(text)
}
