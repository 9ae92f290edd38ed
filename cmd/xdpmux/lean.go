//go:build lean

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// observer is the whole build of this command. It lies beside the lean one, or
// where make install puts it, seen from there.
const observer = "xdpmux-observe"

func stats(c *cli.Context, _ *output) error { return handOver(c.Command.Name) }
func top(c *cli.Context, _ *output) error   { return handOver(c.Command.Name) }
func trace(c *cli.Context, _ *output) error { return handOver(c.Command.Name) }

// handOver makes the observer of this process, with the same arguments. It returns
// only if that fails.
func handOver(command string) error {
	if dispatcher.MoreRights() {
		// Whoever started it may have chosen what lies beside a link to it.
		return &xdp.Error{Kind: xdp.ErrPermission, Msg: command + " needs " + observer + ", which xdpmux doesn't start with more rights than its caller has",
			Remedy: "start " + observer + " itself, or xdpmux as root"}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir := filepath.Dir(self)
	for _, path := range []string{filepath.Join(dir, observer), filepath.Join(dir, "../libexec/xdpmux", observer)} {
		err = syscall.Exec(path, os.Args, os.Environ())
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return usageError(command+" needs "+observer+", which lies neither beside "+self+" nor in ../libexec/xdpmux",
		"make install puts both in place; make static builds one file with everything")
}
