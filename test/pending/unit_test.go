package pending

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestUnit tries changes where systemd manages the machine. A transient unit waits for the end,
// in the network namespace of the change. It outlives the command and, killed, is started
// again by the next call. If systemd starts none, that is said, and a process waits.
func TestUnit(t *testing.T) {
	harness.NoLeak(t)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "boot.target"), nil, 0o600))
	s := harness.BootSystemd(t, dir, "boot.target")
	v := harness.NewVeth(t)
	// there runs xdpmux where systemd is.
	there := func(exit int, args ...string) string {
		t.Helper()
		stdout, stderr, status := s.Run(t, args...)
		if status != exit {
			t.Fatalf("%q: exit status %d, want %d\n%s%s", args, status, exit, stdout, stderr)
		}
		return stdout + stderr
	}
	units := func(which string) []string {
		t.Helper()
		said, _ := s.Ctl(t, "list-units", "--plain", "--no-legend", which, "xdpmux-pending-*")
		var names []string
		for line := range strings.Lines(said) {
			names = append(names, strings.Fields(line)[0])
		}
		return names
	}
	load := func(more ...string) []string {
		return append([]string{harness.Xdpmux(), "load", v.Name, object(t), "-n", "v_drop", "--confirm"}, more...)
	}
	back := func(before *dispatcher.Chain) {
		t.Helper()
		if !harness.Eventually(func() bool { return reflect.DeepEqual(status(t, v.Name), before) }) {
			t.Errorf("it is %+v, was %+v", status(t, v.Name), before)
		}
		if !harness.Eventually(func() bool { return len(units("--all")) == 0 }) {
			t.Errorf("units that are left: %q", units("--all"))
		}
		checkPins(t, v)
	}

	before := chain(t, v, 2)
	if said := there(0, load("600")...); strings.Contains(said, "systemd") {
		t.Errorf("it says:\n%s", said)
	}
	wait := units("--state=active")
	if status(t, v.Name).MainID() == before.MainID() || len(wait) != 1 {
		t.Fatalf("it is %+v, and these wait: %q", status(t, v.Name), wait)
	}
	if said, status := s.Ctl(t, "kill", "-s", "KILL", wait[0]); status != 0 {
		t.Fatal(said)
	}
	if !harness.Eventually(func() bool { return len(units("--all")) == 0 }) {
		t.Fatalf("%q isn't killed", wait)
	}
	if said := there(0, harness.Xdpmux(), "status", v.Name); !strings.Contains(said, "was killed; another one waits now") {
		t.Errorf("status says:\n%s", said)
	}
	if again := units("--state=active"); !slices.Equal(again, wait) {
		t.Errorf("these wait: %q, want %q", again, wait)
	}
	there(0, harness.Xdpmux(), "revert")
	back(before)

	// No unit can be started: a process waits. It takes the change back too.
	none := t.TempDir()
	must(t, os.WriteFile(filepath.Join(none, "systemd-run"), []byte("#!/bin/sh\necho 'Failed to start transient service unit' >&2\nexit 1\n"), 0o700))
	said := there(0, append([]string{"env", "PATH=" + none + ":" + os.Getenv("PATH")}, load("1")...)...)
	if !strings.Contains(said, "systemd doesn't start the unit that is to wait for the end of the change: exit status 1: Failed to start transient service unit\n  a process of its own waits instead") {
		t.Errorf("it says:\n%s", said)
	}
	back(before)
	chain(t, v, 0)

	// A network namespace of its own, and the end of the time.
	harness.NewNetns(t).Do(t, func() {
		v = harness.NewVeth(t)
		before := chain(t, v, 1)
		there(0, load("1")...)
		back(before)
		chain(t, v, 0)
	})
}
