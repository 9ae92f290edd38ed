package cmdline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/output"
)

// Main runs a program until it ends or a signal ends it, and exits with its status.
func Main(run func(ctx context.Context, args []string, stdout, stderr io.Writer) int) {
	// The first signal doesn't interrupt a change of a chain half way, but keeps one from
	// starting. The second one kills: a process may hang that has what this one waits for.
	ctx, stop := signal.NotifyContext(context.Background(), endSignals()...)
	context.AfterFunc(ctx, stop)
	signal.Ignore(syscall.SIGPIPE) // else a reader that goes away would end a change half way
	os.Exit(run(ctx, os.Args[1:], output.NewStream(ctx, os.Stdout), output.NewStream(ctx, os.Stderr)))
}

// Run does what args say, prints errors, and returns the exit status.
func Run(ctx context.Context, app *cli.App, out *output.Printer, args []string) int {
	args, err := Normalize(app, args)
	if err == nil {
		out.Verbosity = countVerbose(args)
		err = app.RunContext(ctx, append([]string{app.Name}, args...))
	}
	var status ExitStatus
	if err == nil || errors.As(err, &status) {
		err = cmp.Or(out.WriteError(), err)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, syscall.EPIPE):
		return 0 // the reader of the output has seen enough
	case errors.As(err, &status):
		return int(status)
	}
	out.PrintError(err)
	return 1
}

// ExitStatus is the error of a command that has printed everything itself. Only its exit
// status is left.
type ExitStatus int

func (s ExitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// endSignals are the signals with which people, shells and service managers end a
// process. Catching all that would costs a load milliseconds.
func endSignals() []os.Signal {
	return Heeded(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
}

// Heeded leaves out the signals that are ignored already, as SIGHUP under nohup or SIGINT
// behind a shell's &. They stay ignored.
func Heeded(signals ...os.Signal) []os.Signal {
	return slices.DeleteFunc(signals, signal.Ignored)
}
