package main

import (
	"embed"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

//go:embed completion
var completionScripts embed.FS

func completionCommand(out *output) *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print what makes a shell complete xdpmux's commands",
		ArgsUsage: "bash|zsh|fish",
		Action: func(c *cli.Context) error {
			script, err := completionScripts.ReadFile("completion/" + c.Args().First())
			if err != nil || c.NArg() != 1 || strings.Contains(c.Args().First(), "/") {
				return usageError("completion needs the name of a shell", "xdpmux completion bash|zsh|fish")
			}
			_, err = fmt.Fprintf(out.stdout, "%s", script)
			return err
		},
	}
}
