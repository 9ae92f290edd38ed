package desired

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

// entry is a program of a state, and what is to be seen of it.
type entry struct {
	name, object, function string
	priority               int
	actions                []string
	value                  int // of the map of xdp_count; 0: nothing is said
}

func (e entry) yaml() string {
	s := fmt.Sprintf("  - {name: %s, object: %s, priority: %d, actions: [%s]", e.name, e.object, e.priority, strings.Join(e.actions, ", "))
	if e.value != 0 {
		s += fmt.Sprintf(", maps: {packets: [{key: 0, value: %d}]}", e.value)
	}
	return s + "}\n"
}

// state is the file with these programs.
func state(ifname string, entries []entry) string {
	s := "interfaces:\n- name: " + ifname + "\n  programs:\n"
	if len(entries) == 0 {
		return "interfaces: [{name: " + ifname + "}]\n"
	}
	for _, e := range entries {
		s += e.yaml()
	}
	return s
}

// chainText is what text says when these run; priorities differ.
func chainText(entries []entry) string {
	slices.SortFunc(entries, func(a, b entry) int { return a.priority - b.priority })
	var all []string
	for _, e := range entries {
		all = append(all, fmt.Sprintf("%d %s %s", e.priority, e.function, strings.Join(e.actions, ",")))
	}
	return strings.Join(all, "; ")
}

// passVariant writes an xdp_pass that returns another verdict: the same function,
// another content.
func passVariant(t *testing.T, dir string, verdict byte) {
	t.Helper()
	data, err := os.ReadFile(object(t, "xdp_pass"))
	if err != nil {
		t.Fatal(err)
	}
	passes := []byte{0xb7, 0, 0, 0, 2, 0, 0, 0} // r0 = XDP_PASS
	if bytes.Count(data, passes) != 1 {
		t.Fatal("xdp_pass.o isn't as expected")
	}
	other := bytes.Clone(passes)
	other[4] = verdict
	err = os.WriteFile(filepath.Join(dir, "variant.o"), bytes.Replace(data, passes, other, 1), 0o600)
	if err != nil {
		t.Fatal(err)
	}
}

// randomEntries is a state of up to three programs with different priorities.
func randomEntries(t *testing.T, r *rand.Rand) []entry {
	pool := []entry{
		{name: "count", object: object(t, "xdp_count"), function: "xdp_count", value: r.IntN(3)},
		{name: "filter", object: object(t, "xdp_drop_ipv6"), function: "xdp_drop_ipv6"},
		{name: "pass", object: "variant.o", function: "xdp_pass"},
	}
	r.Shuffle(len(pool), func(i, j int) { pool[i], pool[j] = pool[j], pool[i] })
	pool = pool[:r.IntN(len(pool)+1)]
	priorities := r.Perm(6)
	for i := range pool {
		pool[i].priority = priorities[i] * 10
		for _, action := range []string{"XDP_DROP", "XDP_PASS", "XDP_TX"} { // in the kernel's order
			if r.IntN(2) == 0 {
				pool[i].actions = append(pool[i].actions, action)
			}
		}
	}
	return pool
}

// TestRoundTrip applies random states, one after the other. For each: one swap at
// most, a second plan and a second apply do nothing, the export says the same, and
// a chain made anew from the export is the same. In between another tool takes
// programs away and adds its own, and the records get lost.
func TestRoundTrip(t *testing.T) {
	harness.NoLeak(t)
	r := harness.Chance(t)
	v := harness.NewVeth(t)
	watch := watchSwaps(t, v)
	dir := t.TempDir()
	file := filepath.Join(dir, "state.yaml")
	const strangerText = " xdp_drop " // only another tool loads it

	for i := range 12 {
		passVariant(t, dir, byte(1+r.IntN(2)))
		entries := randomEntries(t, r)
		content := state(v.Name, entries)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		before := harness.Status(t, v.Name)
		stranger := strings.Contains(text(before), strangerText)
		watch.count(t)
		what := fmt.Sprintf("state %d:\n%s", i, content)

		_, _, planned := harness.Run(t, harness.Xdpmux(), "plan", "-f", file)
		mustExit(t, 0, "apply", "-f", file)
		changed := asJSON(t, before) != asJSON(t, harness.Status(t, v.Name))
		if n := watch.count(t); n > 1 || (n == 1) != changed || (planned == 2) != changed || planned == 1 {
			t.Fatalf("%s%d swaps, changed: %t, plan's exit status %d", what, n, changed, planned)
		}
		after := harness.Status(t, v.Name)
		want := slices.Clone(entries)
		if stranger {
			want = append(want, entry{function: "xdp_drop", priority: 55, actions: []string{"XDP_PASS"}})
		}
		if got := text(after); got != chainText(want) {
			t.Fatalf("%sgot %s, want %s", what, got, chainText(want))
		}

		mustExit(t, 0, "plan", "-f", file)
		mustExit(t, 0, "apply", "-f", file)
		exported := write(t, "export.yaml", mustExit(t, 0, "export", v.Name))
		mustExit(t, 0, "plan", "-f", exported)
		mustExit(t, 0, "plan", "-f", write(t, "export.json", mustExit(t, 0, "export", "--json", v.Name)))
		if now := harness.Status(t, v.Name); asJSON(t, now) != asJSON(t, after) {
			t.Fatalf("%sa second apply made\n%s of\n%s", what, asJSON(t, now), asJSON(t, after))
		}

		switch r.IntN(6) {
		case 0: // the records get lost
			removeRecords(t)
			adopted := strings.Count(mustExit(t, 0, "apply", "-f", file), "  adopt  ")
			if adopted != len(entries) {
				t.Fatalf("%swithout records, %d are adopted", what, adopted)
			}
			mustExit(t, 0, "plan", "-f", file)
			if now := harness.Status(t, v.Name); asJSON(t, now) != asJSON(t, after) {
				t.Fatalf("%swithout records:\n%s of\n%s", what, asJSON(t, now), asJSON(t, after))
			}
		case 1: // another tool takes one of ours away
			if len(after.Programs) > 0 {
				p := after.Programs[r.IntN(len(after.Programs))]
				harness.MustRun(t, "xdp-loader", "unload", v.Name, "-i", fmt.Sprint(p.ID))
			}
		case 2: // and adds its own
			if !stranger {
				harness.MustRun(t, "xdp-loader", "load", v.Name, "-P", "55", object(t, "xdp_drop"))
			}
		case 3: // which can be pruned
			mustExit(t, 0, "apply", "-f", file, "--prune")
			if got := text(harness.Status(t, v.Name)); got != chainText(entries) {
				t.Fatalf("%spruned: got %s, want %s", what, got, chainText(entries))
			}
		case 4: // the chain is made anew
			if !stranger && len(entries) > 0 {
				mustExit(t, 0, "unload", "-a", v.Name)
				mustExit(t, 2, "plan", "-f", exported)
				mustExit(t, 0, "apply", "-f", exported)
				if got := text(harness.Status(t, v.Name)); got != chainText(entries) {
					t.Fatalf("%sfrom the export: got %s, want %s", what, got, chainText(entries))
				}
			}
		}
	}
}

func removeRecords(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob("/run/xdpmux/*.json")
	if err != nil || len(files) == 0 {
		return
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}
