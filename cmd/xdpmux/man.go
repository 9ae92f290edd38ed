package main

import (
	"io"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/help"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
)

// manCommand prints the man page, for make.
func manCommand(out *output.Printer) *cli.Command {
	return &cli.Command{
		Name:   "man",
		Usage:  "print the man page",
		Hidden: true,
		Action: func(c *cli.Context) error {
			_, err := io.WriteString(out.Stdout, help.Man(c.App))
			return err
		},
	}
}
