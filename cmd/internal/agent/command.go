// Package agent defines how the command agent is called. What it does is in cmd/xdpmux-agent.
package agent

import (
	"github.com/urfave/cli/v2"
)

// Name is the program that is the agent. It lies beside xdpmux, or in ../libexec/xdpmux as seen
// from there, where make install puts it.
const Name = "xdpmux-agent"

// Command is agent with what it does. xdpmux has this definition too, for help and completion,
// and starts xdpmux-agent for what it does.
func Command(action cli.ActionFunc) *cli.Command {
	return &cli.Command{
		Name:  "agent",
		Usage: "keep this machine as the state files of a directory declare it, until it is stopped",
		Description: "It applies the files, and again what they concern when a file changes, when an interface comes or is renamed, " +
			"and when somebody else changes a chain that was as declared, which is called drift. " +
			"SIGHUP has it read the files anew, and try again what it has given up. When it ends, all that it has loaded goes on.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "state", Value: "/etc/xdpmux", Usage: "keep what the .yaml, .yml and .json files of `DIR` declare"},
			&cli.StringFlag{Name: "drift", Value: "mend", Usage: "what to do about drift, `WHAT`: mend it, but not in a fight, or only report it"},
			&cli.BoolFlag{Name: "prune", Usage: "remove programs of other tools from the interfaces that the files declare"},
			&cli.BoolFlag{Name: "adopt", Usage: "replace programs of other tools that have the name of one of the files, instead of adding that beside them"},
			&cli.StringFlag{Name: "listen", Usage: "serve a page, /metrics for Prometheus, /healthz and /readyz at `ADDRESS`, such as 127.0.0.1:9436; without a host on loopback only"},
			&cli.StringFlag{Name: "count", Value: "packets", Usage: "with --listen, `WHAT` to count while somebody looks at the page or at /metrics: packets, which takes a little time of each packet, or nothing"},
			&cli.StringFlag{Name: "log", Value: "text", Usage: "log to standard error in this `FORMAT`: text or json"},
		},
		Action: action,
	}
}
