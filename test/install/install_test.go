// Package install tests what make install puts on a system.
package install

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnit installs, has systemd check the unit, and uninstalls.
func TestUnit(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Fatal("make deps installs systemd: ", err)
	}
	dir := t.TempDir()
	// Without a DESTDIR, as systemd looks whether the binary is where the unit says.
	install(t, dir, "install")
	unit := filepath.Join(dir, "lib/systemd/system/xdpmux-apply.service")
	out, err := exec.Command("systemd-analyze", "verify", unit).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	install(t, dir, "uninstall")
	left, err := exec.Command("find", dir, "-not", "-type", "d").Output()
	if err != nil || len(left) > 0 {
		t.Errorf("uninstall left, %v:\n%s", err, left)
	}
}

func install(t *testing.T, dir, target string) {
	t.Helper()
	cmd := exec.Command("make", "-C", "../..", target, "PREFIX="+dir, "CONFDIR="+dir+"/etc")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
}
