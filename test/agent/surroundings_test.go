package agent

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/test/harness"
)

// small mounts a file system of half a megabyte until the end of the test. fill leaves no room in
// it until empty is called.
func small(t *testing.T, dir string) (fill func() (empty func())) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size=512k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return func() func() {
		filler := filepath.Join(dir, "filler")
		if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); err == nil {
			t.Fatalf("%s isn't full", dir)
		}
		return func() {
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// putLinked changes a directory of state files as kubelet does that of a ConfigMap: the files lie
// in a new directory, to which one link leads by way of another, which is replaced.
func putLinked(t *testing.T, dir, name, text string) {
	t.Helper()
	data := filepath.Join(dir, "..data")
	old, _ := os.Readlink(data)
	now, err := os.MkdirTemp(dir, "..2026_")
	if err != nil {
		t.Fatal(err)
	}
	put(t, now, name, text)
	if err := os.Symlink(filepath.Base(now), data+"_tmp"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(data+"_tmp", data); err != nil {
		t.Fatal(err)
	}
	if old == "" {
		err = os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name))
	} else {
		err = os.RemoveAll(filepath.Join(dir, old))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestSurroundings: the address in use, files that are links, an interface renamed in the middle of
// its change, full disks. Each is named in the log and by the metrics, and no chain is touched that
// needn't be.
func TestSurroundings(t *testing.T) {
	harness.NoLeak(t)
	fillState, fillRun := small(t, "/var/lib/xdpmux"), small(t, "/run/xdpmux")
	v, quiet := harness.NewVeth(t), harness.NewVeth(t)
	dir := t.TempDir()
	guard := declare(t, quiet.Name, "xdp_drop")
	put(t, dir, "guard.yaml", guard)
	putLinked(t, dir, "a.yaml", declare(t, v.Name, "xdp_pass"))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("WATCHDOG_USEC", fmt.Sprint(time.Second.Microseconds())) // it looks four times a second
	a := start(t, dir, "--listen", taken.Addr().String())
	if r := a.until(t, "nothing is served yet", ""); !strings.Contains(r.Error, "address already in use") || !strings.Contains(r.Remedy, "--listen") {
		t.Errorf("%+v", r)
	}
	a.changes(t, "started", v.Name, "xdp_pass")
	a.changes(t, "started", quiet.Name, "xdp_drop")
	guarded := runs(t, quiet.Name)
	taken.Close()
	url := a.until(t, "serving", "").URL

	// Of what stays declared, nothing is loaded anew.
	ran := runs(t, v.Name)
	putLinked(t, dir, "a.yaml", declare(t, v.Name, "xdp_pass", "xdp_count"))
	a.changes(t, "another directory behind the link", v.Name, "xdp_count xdp_pass")
	if now := runs(t, v.Name); !strings.Contains(now, ran) {
		t.Errorf("it ran %s and runs %s", ran, now)
	}

	// The interface has its program loaded, and its name by then isn't declared.
	add(t, "rn0")
	unlock := harness.LockPins(t)
	put(t, dir, "rn.yaml", declare(t, "rn0", "xdp_drop"))
	harness.WaitForLock(t, a.PID())
	rename(t, "rn0", "rn1")
	unlock()
	if !harness.Eventually(func() bool { return strings.Contains(a.Stderr.String(), "called otherwise") && names(t, "rn1") == "" }) {
		t.Errorf("rn1 runs %s", names(t, "rn1"))
	}
	rename(t, "rn1", "rn0")
	a.changes(t, "renamed back", "rn0", "xdp_drop")

	// Without room for the history a change is made all the same, and told of.
	empty := fillState()
	putLinked(t, dir, "a.yaml", declare(t, v.Name, "xdp_pass", "xdp_drop"))
	a.changes(t, "no room for the history", v.Name, "xdp_drop xdp_pass")
	if r := a.until(t, "the history will not have all of it", ""); !strings.Contains(r.Error, "no space left") {
		t.Errorf("%+v", r)
	}
	figures(t, url, `unwritten{what="history"} 1`, `unwritten{what="knowledge"} 0`)
	empty()
	putLinked(t, dir, "a.yaml", declare(t, v.Name, "xdp_pass"))
	a.changes(t, "room for the history", v.Name, "xdp_pass")
	figures(t, url, `unwritten{what="history"} 0`)

	// Without room for the records of what is the agent's, nothing can be loaded.
	ran = runs(t, v.Name)
	empty = fillRun()
	putLinked(t, dir, "a.yaml", declare(t, v.Name, "xdp_pass", "xdp_count"))
	if r := a.until(t, "not changed", v.Name); !strings.Contains(r.Error, "no space left") || !strings.Contains(r.Remedy, "/run/xdpmux") {
		t.Errorf("%+v", r)
	}
	if r := a.until(t, "an agent that is started now", ""); !strings.Contains(r.Error, "no space left") {
		t.Errorf("%+v", r)
	}
	figures(t, url, `unwritten{what="knowledge"} 1`, fmt.Sprintf(`interface{condition="failed",interface="%s"} 1`, v.Name))
	if now := runs(t, v.Name); now != ran {
		t.Errorf("without room it ran %s and runs %s", ran, now)
	}
	empty()
	a.changes(t, "room for the records", v.Name, "xdp_count xdp_pass")
	figures(t, url, `unwritten{what="knowledge"} 0`)
	if now := runs(t, quiet.Name); now != guarded {
		t.Errorf("what nothing has happened to ran %s and runs %s", guarded, now)
	}
	a.end(t)
}
