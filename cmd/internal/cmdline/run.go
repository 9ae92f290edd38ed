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

// Main runs a program until it ends or one of the signals ends it, and exits with its status.
func Main(signals []os.Signal, run func(ctx context.Context, args []string, stdout, stderr io.Writer) int) {
	// The first signal doesn't interrupt a change of a chain half way, but keeps one from
	// starting. The second one kills: a process may hang that has what this one waits for.
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
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

// UsualSignals are the signals with which people, shells and service managers end a process.
// A command that starts often and ends soon heeds these alone: to catch all costs each start
// milliseconds.
func UsualSignals() []os.Signal {
	return heeded(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
}

// EverySignal is all signals that end a process which doesn't catch them. What stays for a
// while and has something to put right at its end heeds all.
func EverySignal() []os.Signal {
	var signals []os.Signal
	for s := syscall.Signal(1); s <= lastSignal; s++ {
		switch s {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGPIPE,
			syscall.SIGCHLD, syscall.SIGCONT, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGURG, syscall.SIGWINCH:
			continue
		}
		signals = append(signals, s)
	}
	return heeded(signals...)
}

// lastSignal is SIGRTMAX of signal(7).
const lastSignal = 64

// heeded leaves out the signals that are ignored: nohup and a shell's & have SIGHUP or
// SIGINT ignored, and then it stays so.
func heeded(signals ...os.Signal) []os.Signal {
	return slices.DeleteFunc(signals, signal.Ignored)
}
