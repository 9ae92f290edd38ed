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
				page, err := newApp(out).ToManWithSection(8)
				if err != nil {
					return err
				}
				_, err = fmt.Fprint(out.stdout, page)
				return err
			},
		}
	})
}
