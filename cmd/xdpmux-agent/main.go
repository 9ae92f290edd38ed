// Command xdpmux-agent is the command agent of xdpmux, which starts it for that.
package main

import (
	"context"
	"io"
	"os"
	"runtime/debug"
	"syscall"

	"github.com/urfave/cli/v2"

	command "github.com/xdpmux/xdpmux/cmd/internal/agent"
	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
)

// SIGHUP has the agent read its files anew.
func main() {
	debug.SetGCPercent(40) // it is there all the time, and works for a moment now and then
	cmdline.Main([]os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT}, run)
}

// run is main without the process around it. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	out := output.New(stdout, stderr)
	return cmdline.Run(ctx, newApp(out), out, append([]string{"agent"}, args...))
}

func newApp(out *output.Printer) *cli.App {
	return cmdline.NewApp(out, command.Command(func(c *cli.Context) error { return keep(c, out) }))
}
