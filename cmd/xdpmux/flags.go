package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// The flags that say which program of a file is meant and how it takes its place.
var (
	sectionFlag  = &cli.StringFlag{Name: "section", Aliases: []string{"s"}, Usage: "load the program of this ELF `SECTION` (default: the first XDP program of the file)"}
	progNameFlag = &cli.StringFlag{Name: "prog-name", Aliases: []string{"n"}, Usage: "load the program of this `NAME`"}
	pinPathFlag  = &cli.StringFlag{Name: "pin-path", Aliases: []string{"p"}, Usage: "pin maps that ask for it below `PATH`, on a bpffs"}
)

// nativeFlag refuses a change after which the installed native tools couldn't change the
// chain.
var nativeFlag = &cli.BoolFlag{Name: "native-compatible", Usage: "fail where tools of the installed libxdp could not change the chain afterwards; without it there is a warning"}

func prioFlag(otherwise string) cli.Flag {
	return &cli.StringFlag{Name: "prio", Aliases: []string{"P"}, Usage: "run priority `N`, from 0 to 4294967295, lower runs earlier (default: " + otherwise + ")"}
}

func actionsFlag(otherwise string) cli.Flag {
	return &cli.StringFlag{Name: "actions", Aliases: []string{"A"}, Usage: "chain call `ACTIONS`, joined by commas: " +
		strings.Join(xdp.VerdictNames(), ", ") + ", also written as PASS or pass (default: " + otherwise + ")"}
}

// targetFlags name a program that runs.
func targetFlags(verb string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "id", Aliases: []string{"i"}, Usage: verb + " the program with this `ID`; status shows it"},
		&cli.StringFlag{Name: "name", Usage: verb + " the program of this `NAME`, if there is only one"},
	}
}

// target is the id of the program that targetFlags name.
func target(c *cli.Context, ifname, usage string) (uint32, error) {
	switch {
	case c.IsSet("id") == c.IsSet("name"):
		return 0, cmdline.UsageError("either an id or a name says which program is meant", usage)
	}
	return targetOn(c, ifname)
}

// targetOn is target for a call that has just one of the flags.
func targetOn(c *cli.Context, ifname string) (uint32, error) {
	if c.IsSet("id") {
		return cmdline.ParseID(c.String("id"), ifname)
	}
	chain, err := dispatcher.Status(c.Context, ifname)
	if err != nil {
		return 0, err
	}
	p, err := chain.Find(c.String("name"))
	return p.ID, err
}

// parseNumber reads a priority.
func parseNumber(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 0, 32)
	if err != nil {
		return 0, cmdline.UsageError(fmt.Sprintf("priority %q is not a number from 0 to 4294967295", s), "")
	}
	return uint32(n), nil
}

// settings reads the flags for a priority, which may be 0, and for actions. What isn't
// given is nil.
func settings(c *cli.Context) (prio *uint32, actions *xdp.Actions, err error) {
	if c.IsSet("prio") {
		n, err := parseNumber(c.String("prio"))
		if err != nil {
			return nil, nil, err
		}
		prio = &n
	}
	if c.IsSet("actions") {
		a, err := xdp.ParseActions(c.String("actions"))
		if err != nil {
			return nil, nil, err
		}
		actions = &a
	}
	return prio, actions, nil
}
