package desired

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/test/harness"
)

// dropIn drops in a file of settings for the unit, and has systemd read it.
func dropIn(t *testing.T, s harness.Systemd, units, settings string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(units, "xdpmux-apply.service.d/test.conf"), []byte("[Service]\n"+settings), 0o644); err != nil {
		t.Fatal(err)
	}
	if output, status := s.Ctl(t, "daemon-reload"); status != 0 {
		t.Fatalf("daemon-reload: %s", output)
	}
}

// holdLock holds the lock of apply, where that systemd is, until it is let go.
func holdLock(t *testing.T, s harness.Systemd) (letGo func()) {
	t.Helper()
	lock, err := os.OpenFile(fmt.Sprintf("/proc/%d/root/run/xdpmux/lock", s.PID), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return func() { lock.Close() }
}

// TestUnit boots with a state file, reloads another and one with a fault, and stops.
func TestUnit(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	t.Cleanup(func() { _ = dispatcher.DetachAll(t.Context(), v.Name, dispatcher.DetachOptions{}) })
	xdpmux, err := exec.LookPath(harness.Xdpmux())
	if err != nil {
		t.Fatal(err)
	}
	unit, err := os.ReadFile("../../systemd/xdpmux-apply.service.in")
	if err != nil {
		t.Fatal(err)
	}
	units, config := t.TempDir(), t.TempDir()
	write := func(dir, name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(units, "xdpmux-apply.service", strings.NewReplacer("@BINDIR@", filepath.Dir(xdpmux), "@CONFDIR@", config).Replace(string(unit)))
	said := filepath.Join(t.TempDir(), "stderr")
	if err := os.Mkdir(filepath.Join(units, "xdpmux-apply.service.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(units, "xdpmux-apply.service.d/stderr.conf", "[Service]\nStandardError=append:"+said+"\n")
	t.Cleanup(func() {
		if text, err := os.ReadFile(said); t.Failed() {
			t.Logf("the unit said:\n%s%v", text, err)
		}
	})
	write(units, "boot.target", "[Unit]\nWants=xdpmux-apply.service\n")
	state := func(programs ...string) string {
		text := "interfaces:\n- name: " + v.Name + "\n  programs:\n"
		for _, name := range programs {
			object, err := filepath.Abs(harness.Sample(name))
			if err != nil {
				t.Fatal(err)
			}
			text += fmt.Sprintf("  - {name: %s, object: %s}\n", name, object)
		}
		return text
	}
	check := func(what, want string) {
		t.Helper()
		if got := harness.Programs(t, v); got != want {
			t.Errorf("%s: %s runs %q, want %q", what, v.Name, got, want)
		}
	}

	write(config, "a.yaml", "confirm: 1\n"+state("xdp_pass")) // at boot it is made for good
	s := harness.BootSystemd(t, units, "boot.target")
	check("booted", "xdp_pass")
	if left, err := filepath.Glob(fmt.Sprintf("/proc/%d/root/run/xdpmux/pending/*/*", s.PID)); err != nil || len(left) > 0 {
		t.Errorf("booted, and this is pending: %q, %v", left, err)
	}
	for _, c := range []struct {
		what, verb, state string
		status            int
		runs, active      string
	}{
		{"another state", "reload", "confirm: 1\nguard: 'false'\n" + state("xdp_drop", "xdp_pass"), 0, "xdp_drop xdp_pass", "active"},
		{"a fault", "reload", "interfaces: [", 1, "xdp_drop xdp_pass", "active"},
		{"the fault is gone", "reload-or-restart", state("xdp_pass"), 0, "xdp_pass", "active"},
		{"stopped", "stop", state("xdp_drop"), 0, "xdp_pass", "inactive"},
		{"started again", "start", state("xdp_drop"), 0, "xdp_drop", "active"},
	} {
		write(config, "a.yaml", c.state)
		if output, status := s.Ctl(t, c.verb, "xdpmux-apply"); status != c.status {
			t.Errorf("%s: systemctl %s: exit status %d, want %d\n%s", c.what, c.verb, status, c.status, output)
		}
		check(c.what, c.runs)
		if active, _ := s.Ctl(t, "is-active", "xdpmux-apply"); strings.TrimSpace(active) != c.active {
			t.Errorf("%s: the unit is %s", c.what, active)
		}
	}

	// Whoever holds the lock doesn't keep the machine from booting.
	if timeout, _ := s.Ctl(t, "show", "-p", "TimeoutStartUSec", "xdpmux-apply"); timeout != "TimeoutStartUSec=1min 30s\n" {
		t.Errorf("the unit has %s", timeout)
	}
	dropIn(t, s, units, "TimeoutStartSec=2\n")
	letGo := holdLock(t, s)
	output, status := s.Ctl(t, "restart", "xdpmux-apply")
	if result, _ := s.Ctl(t, "show", "-p", "Result", "xdpmux-apply"); status == 0 || result != "Result=timeout\n" {
		t.Errorf("while another has the lock, restart ends with status %d and %s%s", status, result, output)
	}
	letGo()
	check("timed out", "xdp_drop")

	// It can write nowhere but where it has to.
	dropIn(t, s, units, "ExecStartPre=/bin/sh -c 'for f in "+config+"/x /usr/x /etc/x /tmp/x; do touch $$f && exit 1; done; exit 0'\n"+
		"ExecStartPre=/bin/sh -c 'touch /run/xdpmux/x && rm /run/xdpmux/x'\n")
	write(config, "a.yaml", state("xdp_pass"))
	if output, status := s.Ctl(t, "start", "xdpmux-apply"); status != 0 {
		t.Errorf("with tests of the sandbox: exit status %d\n%s", status, output)
	}
	check("in the sandbox", "xdp_pass")
}
