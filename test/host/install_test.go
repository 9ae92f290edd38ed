// Package host tests what is better tested on the machine than in a VM: what make install
// puts there, and what takes minutes in emulation.
package host

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestInstall installs, has systemd check the unit, and uninstalls.
func TestInstall(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Fatal("make deps installs systemd: ", err)
	}
	dir := t.TempDir()
	// Without a DESTDIR, as systemd looks whether the binary is where the unit says.
	install(t, dir, "build")
	install(t, dir, "install")
	for _, name := range []string{"xdpmux-apply.service", "xdpmux-agent.service", "xdpmux-exporter.service"} {
		out, err := exec.Command("systemd-analyze", "verify", filepath.Join(dir, "lib/systemd/system", name)).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("systemd-analyze verify %s: %v\n%s", name, err, out)
		}
	}
	observer(t, dir)
	install(t, dir, "uninstall")
	left, err := exec.Command("find", dir, "-not", "-type", "d", "-or", "-path", "*/lib*/xdpmux*").Output()
	if err != nil || len(left) > 0 {
		t.Errorf("uninstall left, %v:\n%s", err, left)
	}
}

// observer tests how the installed command finds the one that stats, top and trace
// are in, or says that it doesn't.
func observer(t *testing.T, dir string) {
	t.Helper()
	for _, c := range []struct{ name, want string }{
		{"xdpmux-observe", "trace needs an interface"},
		{"elsewhere", "trace needs xdpmux-observe, which lies neither beside " + dir + "/bin/xdpmux nor in ../libexec/xdpmux"},
	} {
		libexec := filepath.Join(dir, "libexec/xdpmux")
		if err := os.Rename(filepath.Join(libexec, "xdpmux-observe"), filepath.Join(libexec, c.name)); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(filepath.Join(dir, "bin/xdpmux"), "trace").CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%v, %s\nwant %s", err, out, c.want)
		}
	}
	if err := os.Rename(filepath.Join(dir, "libexec/xdpmux/elsewhere"), filepath.Join(dir, "libexec/xdpmux/xdpmux-observe")); err != nil {
		t.Fatal(err)
	}
}

func install(t *testing.T, dir, target string, variables ...string) {
	t.Helper()
	cmd := exec.Command("make", append([]string{"-C", "../..", target, "PREFIX=" + dir, "CONFDIR=" + dir + "/etc"}, variables...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
}

// TestInstallNeedsNoGo installs as sudo does for who has built before: without Go on
// the path, and without building anything.
func TestInstallNeedsNoGo(t *testing.T) {
	dir := t.TempDir()
	install(t, dir, "build")
	install(t, dir, "install", "GO=/nonexistent/go", "CLANG=/nonexistent/clang")
	for _, file := range []string{"bin/xdpmux", "libexec/xdpmux/xdpmux-observe", "libexec/xdpmux/xdpmux-agent", "share/man/man8/xdpmux.8"} {
		if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	// Before a build it says what is missing.
	empty := t.TempDir()
	cmd := exec.Command("make", "-C", empty, "-f", "Makefile", "install", "PREFIX="+dir)
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(empty, "Makefile"), makefile, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bpf", "cgo", "cmd", "dispatcher"} { // which the Makefile looks for sources in
		if err := os.Mkdir(filepath.Join(empty, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "install: build/xdpmux is missing: run make build first") {
		t.Errorf("%v\n%s", err, out)
	}
}
