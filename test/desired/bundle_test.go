package desired

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

// TestBundle exports ten programs, of which the files have changed or gone since, with their
// objects. Applied to another interface from another place, they run there as they did here.
func TestBundle(t *testing.T) {
	harness.NoLeak(t)
	v, other := harness.NewVeth(t), harness.NewVeth(t)
	for _, w := range []*harness.Veth{v, other} {
		t.Cleanup(func() { harness.Run(t, harness.Xdpmux(), "unload", "-a", w.Name) })
	}
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	changes, goes := filepath.Join(dir, "filter.o"), filepath.Join(dir, "a b.o")
	harness.MustRun(t, "cp", object(t, "xdp_drop"), changes)
	harness.MustRun(t, "cp", object(t, "xdp_count"), goes)
	file := filepath.Join(dir, "state.yaml")
	must(os.WriteFile(file, fmt.Appendf(nil, "interfaces:\n- name: %s\n  programs:\n  - {name: one, object: filter.o, priority: 7, actions: [DROP]}\n"+
		"  - {name: two, object: a b.o, maps: {packets: [{key: 0, value: 5}]}}\n", v.Name), 0o600))
	harness.MustRun(t, harness.Xdpmux(), "apply", "-f", file)
	for i := range 8 {
		harness.MustRun(t, harness.Xdpmux(), "load", v.Name, fmt.Sprintf("%s@prio=%d", object(t, "xdp_pass"), 100+i))
	}
	harness.MustRun(t, "cp", object(t, "xdp_pass"), changes)
	must(os.Remove(goes))

	bundle := filepath.Join(dir, "bundle")
	if stdout := harness.MustRun(t, harness.Xdpmux(), "export", "--bundle", bundle, v.Name); stdout != "" {
		t.Error(stdout)
	}
	_, stderr, status := harness.Run(t, harness.Xdpmux(), "export", "--bundle", bundle, v.Name)
	if status != 1 || !strings.Contains(stderr, bundle+" is there already") {
		t.Errorf("exit status %d: %s", status, stderr)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".bundle*")); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	must(os.Rename(bundle, elsewhere))
	text, err := os.ReadFile(filepath.Join(elsewhere, "state.yaml"))
	must(err)
	must(os.WriteFile(filepath.Join(elsewhere, "state.yaml"), []byte(strings.ReplaceAll(string(text), v.Name, other.Name)), 0o600))
	harness.MustRun(t, harness.Xdpmux(), "apply", "-f", elsewhere)
	runs := func(w *harness.Veth) (all string) {
		for _, p := range harness.Status(t, w.Name).Programs {
			all += fmt.Sprintf("%s %s %d %v %t\n", p.Name, p.Tag, p.Priority, p.Actions, p.Frags)
		}
		return all
	}
	if got, want := runs(other), runs(v); got != want || strings.Count(got, "\n") != 10 {
		t.Errorf("there runs\n%s\nand here\n%s", got, want)
	}
	counters := func(w *harness.Veth) string {
		p, err := harness.Status(t, w.Name).Find("xdp_count")
		must(err)
		return fmt.Sprint(harness.Counters(t, p.ID))
	}
	if got, want := counters(other), counters(v); got != want || !strings.ContainsAny(got, "123456789") {
		t.Errorf("the map there has %s, and the one here %s", got, want)
	}
}
