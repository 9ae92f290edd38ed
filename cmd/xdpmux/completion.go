package main

import (
	"embed"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
)

//go:embed completion
var completionScripts embed.FS

func completionCommand(out *output.Printer) *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print what makes a shell complete xdpmux's commands",
		ArgsUsage: "bash|zsh|fish",
		Action: func(c *cli.Context) error {
			script, err := completionScripts.ReadFile("completion/" + c.Args().First())
			if err != nil || c.NArg() != 1 || strings.Contains(c.Args().First(), "/") {
				return cmdline.UsageError("completion needs the name of a shell", "xdpmux completion bash|zsh|fish")
			}
			_, err = fmt.Fprintf(out.Stdout, "%s", script)
			return err
		},
	}
}
