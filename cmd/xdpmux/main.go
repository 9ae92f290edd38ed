// Command xdpmux loads, shows and unloads XDP programs that share an interface.
// It takes the calls of xdp-loader and works on the same chains.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"
)

func main() {
	// A change of a chain is not interrupted half way: the first signal only keeps
	// it from starting. The second one kills, for whoever waits for another's lock.
	ctx, stop := signal.NotifyContext(context.Background(), endSignals()...)
	context.AfterFunc(ctx, stop)
	signal.Ignore(syscall.SIGPIPE) // a reader that goes away is no reason to leave a chain half way
	os.Exit(run(ctx, os.Args[1:], &stream{ctx: ctx, file: os.Stdout}, &stream{ctx: ctx, file: os.Stderr}))
}

// endSignals are the signals that end a process that doesn't catch them. nohup and a
// shell's & have SIGHUP or SIGINT ignored, and then it stays so.
func endSignals() []os.Signal {
	signals := []os.Signal{syscall.SIGTERM}
	for s := syscall.Signal(1); s <= lastSignal; s++ {
		switch s {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGTERM, syscall.SIGPIPE,
			syscall.SIGCHLD, syscall.SIGCONT, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGURG, syscall.SIGWINCH:
			continue
		}
		if !signal.Ignored(s) {
			signals = append(signals, s)
		}
	}
	return signals
}

// lastSignal is SIGRTMAX of signal(7).
const lastSignal = 64

// run is main without the process around it. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	written := &firstError{Writer: stdout}
	out := &output{stdout: written, stderr: stderr}
	app := newApp(out)
	if len(args) > 0 && args[0] == completeWord {
		return complete(ctx, app, args[1:], written)
	}
	args, err := normalize(app, args)
	if err == nil {
		out.verbosity = countVerbose(args)
		err = app.RunContext(ctx, append([]string{app.Name}, args...))
	}
	var status exitStatus
	if err == nil || errors.As(err, &status) {
		err = cmp.Or(written.err, err)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, syscall.EPIPE):
		return 0 // the reader of the output has seen enough
	case errors.As(err, &status):
		return int(status)
	}
	out.printError(err)
	return 1
}

// exitStatus is how a command ends that has said all that is to be said.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

func newApp(out *output) *cli.App {
	cli.HelpFlag = nil // prepare adds one, whose errors aren't lost
	app := &cli.App{
		Name:  "xdpmux",
		Usage: "many XDP programs on one interface",
		Description: "The programs of an interface run in the order of their priority, each as long as the one before " +
			"ends in one of its chain call actions. Programs loaded by xdp-loader and by xdpmux share one chain.",
		HideHelp: true,
		Commands: []*cli.Command{
			loadCommand(out),
			unloadCommand(out),
			replaceCommand(out),
			setCommand(out),
			upgradeCommand(out),
			statusCommand(out),
			cleanCommand(out),
			featuresCommand(out),
			inspectCommand(out),
			mapCommand(out),
			runCommand(out),
			planCommand(out),
			applyCommand(out),
			exportCommand(out),
			checkCommand(out),
			completionCommand(out),
			statsCommand(out),
			topCommand(out),
			traceCommand(out),
			helpCommand(out),
			manCommand(out),
		},
		Writer:         out.stdout,
		ErrWriter:      out.stderr,
		ExitErrHandler: func(*cli.Context, error) {}, // run prints and maps errors, cli would exit
		// A comma can be part of a file's name.
		DisableSliceFlagSeparator: true,
	}
	root := &cli.Command{Action: func(*cli.Context) error {
		return usageError("no command given", "xdpmux help lists the commands")
	}}
	prepare(root, out)
	app.Flags, app.Action, app.OnUsageError = root.Flags, root.Action, root.OnUsageError
	for _, command := range app.Commands {
		prepare(command, out)
	}
	return app
}

// commonFlags are the options of every command.
func commonFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show the causes of errors and what libxdp says; twice: and libbpf"},
		&cli.StringFlag{Name: "netns", Usage: "act in the network namespace `NAME`, or that of a path, with the bpffs of this one"},
		&cli.BoolFlag{Name: "version", Usage: "print the versions of xdpmux, libxdp and libbpf"},
		&cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "show this help"},
	}
}

// prepare gives a command what all have: the common options, and errors that are
// returned, not printed by cli.
func prepare(command *cli.Command, out *output) {
	command.HideHelp = true // cli's own
	command.Flags = append(command.Flags, commonFlags()...)
	command.OnUsageError = func(_ *cli.Context, err error, _ bool) error {
		return usageError(err.Error(), listsOptions(command))
	}
	for _, sub := range command.Subcommands {
		prepare(sub, out)
	}
	action := command.Action
	command.Action = func(c *cli.Context) error {
		switch {
		case c.Bool("help"):
			return printHelp(out, c.App, command)
		case c.Bool("version"):
			out.printVersion()
			return nil
		}
		if c.IsSet("netns") {
			if err := enterNetns(c.String("netns")); err != nil {
				return err
			}
		}
		out.connectLog()
		return action(c)
	}
}
