// Command xdpmux-observe has the commands stats, top, trace and test of xdpmux, which starts it
// for them.
package main

import (
	"context"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/observer"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
)

func main() { cmdline.Main(cmdline.EverySignal(), run) }

// run is main without the process around it. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	out := output.New(stdout, stderr)
	return cmdline.Run(ctx, newApp(out), out, args)
}

func newApp(out *output.Printer) *cli.App {
	with := func(do func(*cli.Context, *output.Printer) error) cli.ActionFunc {
		return func(c *cli.Context) error { return do(c, out) }
	}
	commands := observer.Commands(with(stats), with(top), with(trace), with(testCases))
	return cmdline.NewApp(out, append(commands, observer.RehearseCommand(with(rehearseChanges)))...)
}
