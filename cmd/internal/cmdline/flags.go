package cmdline

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// UsageError is the error of a call that can't be understood.
func UsageError(msg, remedy string) error {
	return &xdp.Error{Kind: xdp.ErrInvalid, Msg: msg, Remedy: remedy}
}

// JSONUsage is the usage of --json.
func JSONUsage(what string) string { return "print " + what + " as JSON" }

// InterfaceArgs are the interfaces that arguments name. An argument may name several,
// joined by commas.
func InterfaceArgs(args []string) []string {
	var names []string
	for _, arg := range args {
		names = append(names, SplitNames(arg)...)
	}
	return names
}

// SplitNames reads one interface or several joined by commas. Linux allows a comma
// in a name, so an interface that has one is taken as it is.
func SplitNames(arg string) []string {
	if !strings.Contains(arg, ",") {
		return []string{arg}
	}
	if _, err := net.InterfaceByName(arg); err == nil {
		return []string{arg}
	}
	return strings.Split(arg, ",")
}

// ParseID reads the id of a program on an interface.
func ParseID(s, ifname string) (uint32, error) {
	id, err := strconv.ParseUint(s, 0, 32)
	if err != nil || id == 0 {
		return 0, UsageError(fmt.Sprintf("%q is not a program's id", s), "xdpmux status "+ifname+" shows the ids")
	}
	return uint32(id), nil
}

// IntervalFlag is the option on the time between two reports, with the same default
// everywhere.
func IntervalFlag(what string, aliases ...string) cli.Flag {
	return &cli.StringFlag{Name: "interval", Aliases: aliases, Value: "1",
		Usage: what + " each `TIME`, in seconds, or such as 500ms"}
}

// leastInterval is the shortest time between two reports.
const leastInterval = 10 * time.Millisecond

// ParseInterval reads the value of IntervalFlag.
func ParseInterval(s string) (time.Duration, error) { return ParseTime("interval", s) }

// ParseTime reads the value of an option that is a time.
func ParseTime(option, s string) (time.Duration, error) {
	unit := ""
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		unit = "s"
	}
	d, err := time.ParseDuration(s + unit)
	if err != nil || d < leastInterval {
		return 0, UsageError(fmt.Sprintf("%s %q is not a time of 10ms or more", option, s), fmt.Sprintf("such as --%[1]s 5 for seconds, or --%[1]s 500ms", option))
	}
	return d, nil
}

// CountFlag is the option that ends a command after so many of what it prints.
func CountFlag(what string) cli.Flag {
	return &cli.StringFlag{Name: "count", Aliases: []string{"c"}, Usage: "end after `N` " + what + " (default: when interrupted)"}
}

// ParseCount reads the value of CountFlag. 0 means that there is no end.
func ParseCount(c *cli.Context) (uint, error) {
	if !c.IsSet("count") {
		return 0, nil
	}
	n, err := strconv.ParseUint(c.String("count"), 0, 32)
	if err != nil || n == 0 {
		return 0, UsageError(fmt.Sprintf("count %q is not a number from 1 on", c.String("count")), "without --count it goes on until interrupted")
	}
	return uint(n), nil
}

// Wait waits for until, and says false if ctx ends first.
func Wait(ctx context.Context, until <-chan time.Time) bool {
	select {
	case <-ctx.Done():
		return false
	case <-until:
		return true
	}
}

// OptionalFlag is an option whose value may be left out. IsValue says whether the argument
// behind it is the value.
type OptionalFlag struct {
	cli.StringFlag
	IsValue func(next string) bool
}
