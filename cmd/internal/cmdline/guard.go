package cmdline

import (
	"os"

	"github.com/xdpmux/xdpmux/dispatcher/pending"
)

// ShellGuard is a guard whose command is one for the shell, run in a directory and in the
// environment of this process; empty: it has none.
func ShellGuard(command, dir string) *pending.Guard {
	g := &pending.Guard{Name: command, Dir: dir, Env: os.Environ()}
	if command != "" {
		g.Command = []string{"/bin/sh", "-c", command}
	}
	return g
}
