package transaction

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestKeepRightMaps: --keep-maps goes on with a map only if it is sure to be the one of the same
// name and layout. If that isn't sure, the change is refused and the chain stays as it was.
func TestKeepRightMaps(t *testing.T) {
	for _, c := range []struct {
		program string
		kept    string // all that is; empty: it is refused
		because string
	}{
		{"typed", "flow_statistics_4, flow_statistics_6", ""},
		{"declared", "packet_counters_4", ""},
		{"nested", "outer_same", ""},
		{"globals", ".bss", ""},
		{"ambiguous", "", "map connection_track4 can't be kept: of program ID (ambiguous), the kernel knows only the first 15 characters of names"},
		{"swapped", "", "map limit can't be kept: the value's member rate of program ID (swapped) is not as in "},
		{"flags", "", "map verdict can't be kept: program ID (flags) has hash with keys of 4 bytes, values of 8 bytes and 4 entries, "},
		{"nested_other", "", "map outer_other can't be kept: the layout of the maps in it of program ID (nested_other) is not as in "},
	} {
		t.Run(c.program, func(t *testing.T) {
			harness.NoLeak(t)
			v := harness.NewVeth(t)
			id := commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{fixture("keepmaps", c.program)}}).Added[0].ID
			before := harness.Snapshot(t)
			maps := harness.MapIDs(t, id)
			stdout, stderr, exit := harness.Run(t, harness.Xdpmux(), "replace", v.Name, "--name", c.program, "--keep-maps", harness.Fixture("keepmaps_next"), "-n", c.program)
			if c.kept == "" {
				if want := "xdpmux: " + strings.ReplaceAll(c.because, "ID", fmt.Sprint(id)); exit != 1 || !strings.HasPrefix(stderr, want) ||
					!strings.Contains(stderr, "or replace without keeping maps") {
					t.Errorf("exit status %d\n%s%swant: %s", exit, stdout, stderr, want)
				}
				before.Check(t)
			} else {
				first, _, _ := strings.Cut(stdout, "\n")
				if exit != 0 || first != "maps kept: "+c.kept || strings.Contains(stdout, ", ,") {
					t.Errorf("exit status %d\n%s%s", exit, stdout, stderr)
				}
				now := harness.MapIDs(t, status(t, v.Name).Programs[0].ID)
				for _, id := range maps {
					if !slices.Contains(now, id) {
						t.Errorf("map %d is not among %d", id, now)
					}
				}
			}
			unload(t, v.Name)
		})
	}
}

// TestMapsInFull: maps are found and listed by their names in full, where the kernel
// has cut two to the same.
func TestMapsInFull(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	id := commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{fixture("keepmaps", "typed")}}).Added[0].ID
	for name, keySize := range map[string]int{"flow_statistics_4": 4, "flow_statistics_6": 16} {
		m, err := maps.Open(id, name)
		if err != nil {
			t.Fatal(err)
		}
		if m.KeySize != keySize {
			t.Errorf("%s has keys of %d bytes", name, m.KeySize)
		}
		m.Close()
		if list := harness.MustRun(t, harness.Xdpmux(), "map", "list", v.Name); !strings.Contains(list, name) {
			t.Errorf("map list:\n%s", list)
		}
		harness.MustRun(t, harness.Xdpmux(), "map", "dump", v.Name, name)
	}
	if _, err := maps.Open(id, "flow_statistics"); !errors.Is(err, xdp.ErrInvalid) {
		t.Errorf("a name that two have: %v", err)
	}
	unload(t, v.Name)
}
