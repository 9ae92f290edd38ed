package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/observer"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// startObserver replaces this process by xdpmux-observe with the same arguments. It returns
// only if that fails.
func startObserver(c *cli.Context) error { return execObserver(c.Command.Name, os.Args) }

// execObserver is startObserver with other arguments. Errors call it by what needs it.
func execObserver(command string, args []string) error {
	if dispatcher.MoreRights() {
		// Whoever started it may have chosen what lies beside a link to it.
		return &xdp.Error{Kind: xdp.ErrPermission, Msg: command + " needs " + observer.Name + ", which xdpmux doesn't start with more rights than its caller has",
			Remedy: "start " + observer.Name + " itself, or xdpmux as root"}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir := filepath.Dir(self)
	for _, path := range []string{filepath.Join(dir, observer.Name), filepath.Join(dir, "../libexec/xdpmux", observer.Name)} {
		err = syscall.Exec(path, args, os.Environ())
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return cmdline.UsageError(command+" needs "+observer.Name+", which lies neither beside "+self+" nor in ../libexec/xdpmux",
		"make install puts both in place")
}
