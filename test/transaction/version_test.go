package transaction

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

// TestOtherVersions has every command that changes a chain meet one that it can't change: the
// dispatcher has a version that nobody writes any more, or that nobody knows. The command says so and leaves the chain. plan tells what it would have done.
func TestOtherVersions(t *testing.T) {
	harness.NoLeak(t)
	object, err := filepath.Abs(harness.Sample("xdp_drop"))
	if err != nil {
		t.Fatal(err)
	}
	foreign := func(version int) func(testing.TB) *harness.Foreign {
		return func(t testing.TB) *harness.Foreign { return harness.NewForeign(t, version) }
	}
	for name, c := range map[string]struct {
		chain func(testing.TB) *harness.Foreign
		says  string
		known bool // what is in the chain
	}{
		"1": {foreign(1), "has a dispatcher of version 1, and xdpmux writes versions 2 and 3\n  upgrade the chain", true},
		"4": {foreign(4), "the dispatcher has version 4, and xdpmux knows 1 to 3", false},
	} {
		t.Run(name, func(t *testing.T) {
			v := harness.NewVeth(t)
			f := c.chain(t)
			v.Attach(t, f.FD, harness.Native)
			for i := range f.Programs {
				f.Pin(t, fmt.Sprintf("/sys/fs/bpf/xdp/dispatch-%d-%d", v.Index, f.ID), i)
			}
			file := filepath.Join(t.TempDir(), "state.yaml")
			text := fmt.Sprintf("interfaces: [{name: %s, programs: [{name: drop, object: %s}]}]\n", v.Name, object)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			id := fmt.Sprint(f.Programs[0])
			for _, args := range [][]string{
				{"replace", v.Name, "-i", id, object},
				{"replace", v.Name, "-i", id, "--keep-maps", object},
				{"set", v.Name, "-i", id, "-P", "3"},
				{"load", v.Name, object},
				{"load", v.Name, object, "--dry-run"},
				{"unload", v.Name, "-i", id},
				{"plan", "-f", file},
				{"apply", "-f", file},
				{"apply", "--dry-run", "-f", file},
			} {
				before := harness.Snapshot(t)
				stdout, stderr, exit := harness.Run(t, harness.Xdpmux(), args...)
				if exit != 1 || !strings.HasPrefix(stderr, "xdpmux: ") || !strings.Contains(stderr, c.says) {
					t.Errorf("%q: exit status %d, want %q\n%s%s", args, exit, c.says, stdout, stderr)
				}
				planned := c.known && (args[0] == "plan" || args[1] == "--dry-run")
				if got := strings.Contains(stdout, "  add  drop  "+object); got != planned {
					t.Errorf("%q: tells what would be added: %t\n%s", args, got, stdout)
				}
				before.Check(t)
			}
			v.Attach(t, -1, harness.Native)
		})
	}
}
