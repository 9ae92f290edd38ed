// Package cmdline reads a command line and runs the command that it names. The programs
// under cmd share it, so that options are written the same way in all of them.
package cmdline

import (
	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/help"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
)

// NewApp is a program with these commands and the command help. What a command prints goes
// to out.
func NewApp(out *output.Printer, commands ...*cli.Command) *cli.App {
	cli.HelpFlag = nil // prepare adds one: cli's own loses errors
	app := &cli.App{
		Name:  "xdpmux",
		Usage: "many XDP programs on one interface",
		Description: "The programs of an interface run in the order of their priority, each as long as the one before " +
			"ends in one of its chain call actions. Programs loaded by xdp-loader and by xdpmux share one chain.",
		HideHelp:       true,
		Commands:       append(commands, helpCommand(out)),
		Writer:         out.Stdout,
		ErrWriter:      out.Stderr,
		ExitErrHandler: func(*cli.Context, error) {}, // Run prints errors and returns the status; cli would exit
		// A comma can be part of a file's name.
		DisableSliceFlagSeparator: true,
	}
	root := &cli.Command{Action: func(*cli.Context) error {
		return UsageError("no command given", "xdpmux help lists the commands")
	}}
	prepare(root, out)
	app.Flags, app.Action, app.OnUsageError = root.Flags, root.Action, root.OnUsageError
	for _, command := range app.Commands {
		prepare(command, out)
	}
	return app
}

// prepare gives a command the common options. It has cli return the errors of the command
// instead of printing them.
func prepare(command *cli.Command, out *output.Printer) {
	command.HideHelp = true // cli's own
	command.Flags = append(command.Flags, help.CommonFlags()...)
	command.OnUsageError = func(_ *cli.Context, err error, _ bool) error {
		return UsageError(err.Error(), listsOptions(command))
	}
	for _, sub := range command.Subcommands {
		prepare(sub, out)
	}
	action := command.Action
	command.Action = func(c *cli.Context) error {
		switch {
		case c.Bool("help"):
			return help.Print(out.Stdout, c.App, command)
		case c.Bool("version"):
			out.PrintVersion()
			return nil
		}
		if c.IsSet("netns") {
			if err := EnterNetns(c.String("netns")); err != nil {
				return err
			}
		}
		out.ConnectLog()
		return action(c)
	}
}

func helpCommand(out *output.Printer) *cli.Command {
	return &cli.Command{
		Name:      "help",
		Usage:     "list the commands, or the options of one",
		ArgsUsage: "[command]...",
		Action: func(c *cli.Context) error {
			command, of := &cli.Command{Subcommands: c.App.Commands}, ""
			for _, name := range c.Args().Slice() {
				var err error
				if command, err = FindCommand(command.Subcommands, of, name); err != nil {
					return err
				}
				of += command.Name + " "
			}
			return help.Print(out.Stdout, c.App, command)
		},
	}
}
