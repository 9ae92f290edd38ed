package cmdline

import (
	"os"
	"path/filepath"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Beside is a program that lies beside this one, or in ../libexec/xdpmux as seen from here, where
// make install puts it. Errors call it by what needs it.
func Beside(program, needs string) (path string, err error) {
	if dispatcher.MoreRights() {
		// Whoever started it may have chosen what lies beside a link to it.
		return "", &xdp.Error{Kind: xdp.ErrPermission, Msg: needs + " needs " + program + ", which xdpmux doesn't start with more rights than its caller has",
			Remedy: "start " + program + " itself, or xdpmux as root"}
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(self)
	for _, path := range []string{filepath.Join(dir, program), filepath.Join(dir, "../libexec/xdpmux", program)} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", UsageError(needs+" needs "+program+", which lies neither beside "+self+" nor in ../libexec/xdpmux",
		"make install puts both in place")
}
