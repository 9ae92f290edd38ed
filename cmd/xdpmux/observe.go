package main

import (
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/agent"
	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/images"
	"github.com/xdpmux/xdpmux/cmd/internal/observer"
)

// startObserver replaces this process by xdpmux-observe with the same arguments. It returns
// only if that fails.
func startObserver(c *cli.Context) error {
	return execBeside(observer.Name, c.Command.Name, os.Args)
}

// startAgent replaces this process by xdpmux-agent, which is the command agent alone, so that its
// arguments don't name it.
func startAgent(c *cli.Context) error {
	args := slices.Clone(os.Args)
	at := 1 + cmdline.CommandAt(&cli.Command{Flags: c.App.Flags, Subcommands: c.App.Commands}, args[1:])
	return execBeside(agent.Name, c.Command.Name, slices.Delete(args, at, at+1))
}

// startImage replaces this process by xdpmux-image with the same arguments.
func startImage(c *cli.Context) error { return execBeside(images.Name, "image", os.Args) }

// execBeside replaces this process by a program that lies beside it. Errors call it by the
// command that needs it.
func execBeside(program, command string, args []string) error {
	path, err := cmdline.Beside(program, command)
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", path, syscall.Exec(path, args, os.Environ()))
}
