package history

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

// kinds are maps of the fixture policy, with a key and a value for each.
var kinds = []struct {
	name       string
	key, value string
}{
	{"in_array", "3", "33"}, {"in_hash", "4", "44"}, {"in_lru", "5", "55"}, {"in_cpu_array", "6", "66"}, {"in_cpu_hash", "7", "77"},
	{"in_lpm", "192.0.2.0/24", "88"}, {"policy.data", "0", "63 00 00 00"}, {"policy.bss", "0", "63 00 00 00"},
}

// dumps are what the maps of the program policy hold, and what each xdp_count has counted.
func dumps(t *testing.T, ifname string) (all []string) {
	t.Helper()
	for _, p := range harness.Status(t, ifname).Programs {
		if p.Name == "xdp_count" {
			all = append(all, fmt.Sprint("xdp_count ", harness.Counters(t, p.ID)))
			continue
		}
		for _, kind := range kinds {
			all = append(all, kind.name+"\n"+harness.MustRun(t, ours(), "map", "dump", ifname, kind.name, "--json"))
		}
	}
	for i := range all { // the ids are others
		head, rest, found := strings.Cut(all[i], `"entries"`)
		if found {
			head, _, _ = strings.Cut(head, "\n")
			all[i] = head + rest
		}
	}
	return all
}

// TestUndoRestoresMaps removes chains and brings them back with what their maps held: each kind
// of map that can be saved, with packets that go on counting. What can't be is named before.
func TestUndoRestoresMaps(t *testing.T) {
	for _, programs := range []int{1, 2, 10} {
		t.Run(fmt.Sprint(programs), func(t *testing.T) {
			harness.NoLeak(t)
			fresh(t, roomy)
			v := veth(t)
			args := []string{"load", v.Name, harness.Fixture("policy") + "@name=policy"}
			for len(args) < programs+2 {
				args = append(args, harness.Sample("xdp_count"))
			}
			harness.MustRun(t, ours(), args...)
			policy, err := harness.Status(t, v.Name).Find("policy")
			must(t, err)
			for _, kind := range kinds {
				harness.MustRun(t, ours(), "map", "update", v.Name, kind.name, "--key", kind.key, "--value", kind.value)
			}
			v.Deliver(t, harness.UDP4(harness.Flow{}), harness.UDP4(harness.Flow{}))
			held := dumps(t, v.Name)
			harness.MustRun(t, ours(), "unload", "-a", v.Name)

			text := harness.MustRun(t, ours(), "undo", v.Name, "--restore-maps", "--dry-run")
			for _, want := range []string{
				"map in_array of program " + itoa(policy.ID) + " (policy) gets back what it held, 1 entry\n",
				"(policy) is new: nobody can read a map of type xskmap\n",
				"map devices of program " + itoa(policy.ID) + " (policy) is new: what a map of type devmap holds may be gone by then\n",
				"map in_inner of program " + itoa(policy.ID) + " (policy) is new: what a map of type array_of_maps holds may be gone by then\n",
			} {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in\n%s", want, text)
				}
			}
			if running(t, v.Name) != "" {
				t.Errorf("--dry-run has changed it: %s", running(t, v.Name))
			}
			var previews []struct {
				Restored []struct {
					Maps []struct {
						Map     string
						Entries int
						Why     string
					}
				}
			}
			must(t, json.Unmarshal([]byte(harness.MustRun(t, ours(), "undo", v.Name, "--restore-maps", "--dry-run", "--json")), &previews))
			if len(previews) != 1 || len(previews[0].Restored) != programs {
				t.Errorf("%+v", previews)
			}

			harness.MustRun(t, ours(), "undo", v.Name, "--restore-maps")
			if got := dumps(t, v.Name); !slices.Equal(got, held) {
				t.Errorf("the maps hold\n%s\nand held\n%s", strings.Join(got, "\n"), strings.Join(held, "\n"))
			}
			unbroken(t, v.Name)

			// Without it, they are new.
			harness.MustRun(t, ours(), "unload", "-a", v.Name)
			harness.MustRun(t, ours(), "undo", v.Name)
			if got := dumps(t, v.Name); slices.Equal(got, held) {
				t.Error("the maps hold what they held, and nobody asked for that")
			}
			harness.MustRun(t, native, "unload", "-a", v.Name)
		})
	}
}

// TestUndoRestoresNoMaps names what isn't saved: a map that is too large, beside a small one that
// is; all of a program that another tool has removed; and what has been damaged.
func TestUndoRestoresNoMaps(t *testing.T) {
	harness.NoLeak(t)
	fresh(t, roomy)
	v := veth(t)
	says := func(want ...string) {
		t.Helper()
		text := harness.MustRun(t, ours(), "undo", v.Name, "--restore-maps", "--dry-run")
		for _, want := range want {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
	}
	const large = "more than 4 MiB would be saved"
	harness.MustRun(t, ours(), "load", v.Name, harness.Fixture("policy")+"@name=policy", "--map-size", "in_array=600000")
	harness.MustRun(t, ours(), "unload", "-a", v.Name)
	says("map in_array of", large, "map in_cpu_array of")
	all := records(t, v.Name)
	kept := "/var/lib/xdpmux/objects/" + all[len(all)-1].Saved[0].SHA256
	must(t, os.WriteFile(kept, []byte("[]"), 0o600))
	says("(policy) are new: what was saved of them can't be read: its copy " + kept + " is damaged")

	harness.MustRun(t, ours(), "load", v.Name, harness.Sample("xdp_count"))
	harness.MustRun(t, native, "unload", "-a", v.Name)
	says("(xdp_count) are new: nothing was saved of them")
	harness.MustRun(t, ours(), "undo", v.Name, "--restore-maps")
	harness.MustRun(t, ours(), "unload", "-a", v.Name)
}
