package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/agent"
	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/observer"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
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

// execBeside replaces this process by a program that lies beside it. Errors call it by the
// command that needs it.
func execBeside(program, command string, args []string) error {
	if dispatcher.MoreRights() {
		// Whoever started it may have chosen what lies beside a link to it.
		return &xdp.Error{Kind: xdp.ErrPermission, Msg: command + " needs " + program + ", which xdpmux doesn't start with more rights than its caller has",
			Remedy: "start " + program + " itself, or xdpmux as root"}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir := filepath.Dir(self)
	for _, path := range []string{filepath.Join(dir, program), filepath.Join(dir, "../libexec/xdpmux", program)} {
		err = syscall.Exec(path, args, os.Environ())
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return cmdline.UsageError(command+" needs "+program+", which lies neither beside "+self+" nor in ../libexec/xdpmux",
		"make install puts both in place")
}
