package desired

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestEverything takes a state that says everything that can be said, by a pattern
// and in several files, there and back: what it applies is there, a second plan is
// empty, and a chain made anew from the export is the same, as is its export.
func TestEverything(t *testing.T) {
	harness.NoLeak(t)
	harness.InNetns(t, func() {
		a, b := harness.NewVeth(t), harness.NewVeth(t)
		pins := "/sys/fs/bpf/xm-everything"
		t.Cleanup(func() { os.RemoveAll(pins) })
		dir := t.TempDir()
		for name, text := range map[string]string{
			"10-all.yaml": fmt.Sprintf(`# Both pairs have an end that this matches.
interfaces:
- name: xm*a
  mode: skb
  programs:
  - name: pinned
    object: %s
    section: xdp/good
    priority: 0
    actions: []
    frags: true
    pin-path: %s
    maps: {pinned_packets: [{key: 0, value: 5}]}
`, object(t, "fixtures/pinned"), pins),
			"20-first.json": fmt.Sprintf(`{"interfaces": [{"name": %q, "programs": [{"name": "count", "object": %q, "program": "xdp_count",
				"actions": ["XDP_DROP", "XDP_TX"], "maps": {"packets": [{"key": "00000000", "value": "07 00 00 00 00 00 00 00"}]}}]}]}`,
				a.Name, object(t, "xdp_count")),
			"30-second.yml": fmt.Sprintf("interfaces: [{name: %s, programs: [{name: pass, object: %s, program: v_pass_frags}]}]", b.Name, object(t, "fixtures/verdicts")),
			"README":        "this is no state",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want := map[string]string{
			a.Name: "skb, frags false: 0 good  frags true; 5 xdp_count XDP_DROP,XDP_TX frags false",
			b.Name: "skb, frags true: 0 good  frags true; 50 v_pass_frags XDP_PASS frags true",
		}
		check := func(what string) {
			t.Helper()
			for _, v := range []*harness.Veth{a, b} {
				chain := harness.Status(t, v.Name)
				if got := shape(chain); got != want[v.Name] {
					t.Errorf("%s: %s runs %s, want %s", what, v.Name, got, want[v.Name])
				}
				for i, first := range []uint64{5, 7} {
					if chain.Programs[i].Name == "v_pass_frags" {
						continue
					}
					if got := harness.CPUCounters(t, chain.Programs[i].ID)[0][0]; got != first {
						t.Errorf("%s: a map of %s holds %d, want %d", what, chain.Programs[i].Name, got, first)
					}
				}
			}
			if _, err := os.Stat(filepath.Join(pins, "pinned_packets")); err != nil {
				t.Error(what, err)
			}
		}
		mustExit(t, 2, "plan", "-f", dir)
		mustExit(t, 0, "apply", "-f", dir)
		check("applied")
		before := asJSON(t, harness.Status(t, a.Name)) + asJSON(t, harness.Status(t, b.Name))
		mustExit(t, 0, "plan", "-f", dir)
		mustExit(t, 0, "apply", "-f", filepath.Join(dir, "20-first.json"), "-f", filepath.Join(dir, "30-second.yml"), filepath.Join(dir, "10-all.yaml"))
		if now := asJSON(t, harness.Status(t, a.Name)) + asJSON(t, harness.Status(t, b.Name)); now != before {
			t.Errorf("a second apply made\n%s of\n%s", now, before)
		}

		text := mustExit(t, 0, "export")
		exported := write(t, "export.yaml", text)
		mustExit(t, 0, "plan", "-f", exported)
		for _, v := range []*harness.Veth{a, b} {
			mustExit(t, 0, "unload", "-a", v.Name)
		}
		if err := os.RemoveAll(pins); err != nil {
			t.Fatal(err)
		}
		mustExit(t, 2, "plan", "-f", exported)
		mustExit(t, 0, "apply", "-f", exported)
		check("made anew")
		if again := mustExit(t, 0, "export"); again != text {
			t.Errorf("the export was\n%s\nand is\n%s", text, again)
		}
		mustExit(t, 0, "plan", "-f", dir)
		mustExit(t, 0, "apply", "-f", write(t, "empty.yaml", "interfaces: [{name: xm*a}]"))
	})
}

// shape is a chain without what the kernel makes up.
func shape(c *dispatcher.Chain) string {
	s := fmt.Sprintf("%s, frags %t:", c.Mode, c.Frags)
	for i, p := range c.Programs {
		if i > 0 {
			s += ";"
		}
		s += fmt.Sprintf(" %d %s %s frags %t", p.Priority, p.Name, p.Actions, p.Frags)
	}
	return s
}
