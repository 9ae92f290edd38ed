//go:build !urfave_cli_no_docs

package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

// Only for `make man`: what cli needs to write man pages costs every start of the
// program some time.
func init() {
	extraCommands = append(extraCommands, func(out *output) *cli.Command {
		return &cli.Command{
			Name:   "man",
			Usage:  "print the man page",
			Hidden: true,
			Action: func(c *cli.Context) error {
				app := newApp(out)
				for _, command := range app.Commands {
					addUsage(command)
				}
				page, err := app.ToManWithSection(8)
				if err != nil {
					return err
				}
				_, err = fmt.Fprint(out.stdout, page)
				return err
			},
		}
	})
}

// addUsage gives the man page the arguments and the description, of which cli puts
// neither there of itself.
func addUsage(command *cli.Command) {
	for _, sub := range command.Subcommands {
		addUsage(sub)
	}
	if len(command.Subcommands) > 0 {
		return
	}
	// A line alone is taken for Markdown, and <ifname> for a tag in it: so another
	// follows, if a blank one.
	command.UsageText = "xdpmux " + fullName(command) + " [options] " + command.ArgsUsage + "\n \n" + command.Description
	if command.Description == "" {
		command.UsageText += " "
	}
}
