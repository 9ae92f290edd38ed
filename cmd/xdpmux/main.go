// Command xdpmux loads, shows and unloads XDP programs that share an interface.
// It takes the calls of xdp-loader and works on the same chains.
package main

import (
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
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop)
	signal.Ignore(syscall.SIGPIPE) // a reader that goes away is no reason to leave a chain half way
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process around it. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	out := &output{stdout: stdout, stderr: stderr}
	app := newApp(out)
	if len(args) > 0 && args[0] == completeWord {
		return complete(ctx, app, args[1:], stdout)
	}
	args, err := normalize(app, args)
	if err == nil {
		out.verbosity = countVerbose(args)
		err = app.RunContext(ctx, append([]string{app.Name}, args...))
	}
	var status exitStatus
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

// extraCommands are those of some builds only.
var extraCommands []func(*output) *cli.Command

func newApp(out *output) *cli.App {
	cli.VersionFlag = &cli.BoolFlag{Name: "version", Usage: "print the versions of xdpmux, libxdp and libbpf"}
	cli.VersionPrinter = func(*cli.Context) { out.printVersion() }
	app := &cli.App{
		Name:  "xdpmux",
		Usage: "many XDP programs on one interface",
		Description: "The programs of an interface run in the order of their priority, each as long as the one before\n" +
			"ends in one of its chain call actions. Programs loaded by xdp-loader and by xdpmux share one chain.",
		Version: version,
		Commands: []*cli.Command{
			loadCommand(out),
			unloadCommand(out),
			replaceCommand(out),
			setCommand(),
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
		},
		Writer:         out.stdout,
		ErrWriter:      out.stderr,
		OnUsageError:   usageErrorOf("help"),
		ExitErrHandler: func(*cli.Context, error) {}, // run prints and maps errors, cli would exit
		// A comma can be part of a file's name.
		DisableSliceFlagSeparator: true,
		Action: func(c *cli.Context) error {
			return usageError("no command given", "xdpmux help lists the commands")
		},
	}
	for _, extra := range extraCommands {
		app.Commands = append(app.Commands, extra(out))
	}
	for _, command := range app.Commands {
		prepare(command, out)
	}
	return app
}

// usageErrorOf makes an error of what cli says of options; help is the command that
// lists them.
func usageErrorOf(help string) cli.OnUsageErrorFunc {
	return func(_ *cli.Context, err error, _ bool) error {
		return usageError(err.Error(), "xdpmux "+help+" lists the options")
	}
}

// prepare gives a command what all have: the options on verbosity and version,
// and errors that are returned, not printed by cli.
func prepare(command *cli.Command, out *output) {
	command.Flags = append(command.Flags,
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show the causes of errors and what libxdp says; twice: and libbpf"},
		&cli.BoolFlag{Name: "version", Usage: "print the versions of xdpmux, libxdp and libbpf"},
		&cli.StringFlag{Name: "netns", Usage: "act in the network namespace `NAME`, or that of a path, with the bpffs of this one"},
	)
	command.OnUsageError = usageErrorOf(fullName(command) + " --help")
	for _, sub := range command.Subcommands {
		prepare(sub, out)
	}
	action := command.Action
	command.Action = func(c *cli.Context) error {
		if c.Bool("version") {
			out.printVersion()
			return nil
		}
		if err := enterNetns(c.String("netns")); err != nil {
			return err
		}
		out.connectLog()
		return action(c)
	}
}
