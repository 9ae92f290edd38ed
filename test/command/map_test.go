package command

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/test/harness"
)

var (
	counting = harness.Fixture("maps")
	other    = harness.Sample("xdp_drop_ipv6_count")
)

// chainOf loads files on a new interface, and takes them away at the test's end.
func chainOf(t *testing.T, files ...string) *harness.Veth {
	t.Helper()
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	harness.MustRun(t, harness.Xdpmux(), append([]string{"load", "--require-dispatcher", v.Name}, files...)...)
	t.Cleanup(func() { harness.MustRun(t, harness.Xdpmux(), "unload", "-a", v.Name) })
	return v
}

// send counts packets of several flows on both of two CPUs.
func send(t *testing.T, v *harness.Veth) {
	t.Helper()
	var frames [][]byte
	for i := range 20 {
		for range i%3 + 1 {
			frames = append(frames, harness.UDP4(harness.Flow{DstPort: uint16(1000 + i), PayloadLen: i * 10}))
		}
	}
	if got := v.Deliver(t, frames...); len(got) != len(frames) {
		t.Fatalf("%d of %d frames passed", len(got), len(frames))
	}
	// A test run of the dispatcher runs the whole chain, on the CPU of whoever asks.
	file := filepath.Join(t.TempDir(), "frame")
	if err := os.WriteFile(file, harness.UDP4(harness.Flow{DstPort: 1000, PayloadLen: 200}), 0o600); err != nil {
		t.Fatal(err)
	}
	chain := harness.Status(t, v.Name)
	harness.MustRun(t, "taskset", "2", "bpftool", "prog", "run", "id", fmt.Sprint(chain.Dispatcher.ID), "data_in", file, "data_out", "/dev/null", "repeat", "5")
}

// mapsOf reads map list.
func mapsOf(t *testing.T, v *harness.Veth) map[string]maps.Used {
	t.Helper()
	var list []maps.Used
	if err := json.Unmarshal([]byte(harness.MustRun(t, harness.Xdpmux(), "map", "list", "--json", v.Name)), &list); err != nil {
		t.Fatal(err)
	}
	byName := map[string]maps.Used{}
	for _, m := range list {
		byName[m.Name] = m
	}
	return byName
}

// entry is one of both tools' JSON.
type entry struct {
	Key    any
	Value  any
	Values []struct {
		CPU   int
		Value any
	}
	Sum       any
	PerSecond any    `json:"per_second"`
	Formatted *entry // bpftool's, beside the bytes
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
}

func dumpOurs(t *testing.T, v *harness.Veth, name string) map[string]entry {
	t.Helper()
	var d struct{ Entries []entry }
	decode(t, harness.MustRun(t, harness.Xdpmux(), "map", "dump", "--json", v.Name, name), &d)
	return byKey(t, d.Entries)
}

func dumpBpftool(t *testing.T, id uint32) map[string]entry {
	t.Helper()
	var raw []struct{ Formatted *entry }
	decode(t, harness.MustRun(t, "bpftool", "-j", "map", "dump", "id", fmt.Sprint(id)), &raw)
	var entries []entry
	for _, e := range raw {
		if e.Formatted == nil {
			t.Fatal("bpftool doesn't know the types")
		}
		entries = append(entries, *e.Formatted)
	}
	return byKey(t, entries)
}

func byKey(t *testing.T, entries []entry) map[string]entry {
	t.Helper()
	m := map[string]entry{}
	for _, e := range entries {
		e.Key, e.Value = normal(e.Key), normal(e.Value)
		for i := range e.Values {
			e.Values[i].Value = normal(e.Values[i].Value)
		}
		key, err := json.Marshal(e.Key)
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := m[string(key)]; twice {
			t.Errorf("key %s comes twice", key)
		}
		m[string(key)] = e
	}
	return m
}

// normal takes away what the tools write differently: bpftool writes bit fields as
// hexadecimal text and keeps the members of an anonymous struct below "".
func normal(v any) any {
	switch v := v.(type) {
	case string:
		if n, err := strconv.ParseUint(v, 0, 64); err == nil && strings.HasPrefix(v, "0x") {
			return json.Number(strconv.FormatUint(n, 10))
		}
	case []any:
		for i := range v {
			v[i] = normal(v[i])
		}
	case map[string]any:
		if inner, ok := v[""].(map[string]any); ok {
			delete(v, "")
			for name, value := range inner {
				v[name] = value
			}
		}
		for name := range v {
			v[name] = normal(v[name])
		}
	}
	return v
}

func TestMapDumpIsThatOfBpftool(t *testing.T) {
	v := chainOf(t, counting)
	send(t, v)
	list := mapsOf(t, v)
	for _, c := range []struct {
		name    string
		entries int
	}{
		{"an_array", 4}, {"a_cpu_array", 3}, {"a_hash", 20}, {"a_cpu_hash", 20},
		{"an_lru_hash", 20}, {"a_struct", 20}, {"a_cpu_struct", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, want := dumpOurs(t, v, c.name), dumpBpftool(t, list[c.name].ID)
			if len(got) != c.entries || len(want) != c.entries {
				t.Errorf("%d entries, bpftool %d, want %d", len(got), len(want), c.entries)
			}
			for key, w := range want {
				g := got[key]
				g.Sum = nil
				if !reflect.DeepEqual(g, w) {
					t.Errorf("key %s: %+v\nbpftool: %+v", key, g, w)
				}
			}
		})
	}
}

// What the numbers have to be, so that two tools can't be wrong alike.
func TestMapDumpIsWhatWasSent(t *testing.T) {
	v := chainOf(t, counting)
	send(t, v) // port 1000 once, and 5 times on CPU 1; port 1001 twice; ...
	for _, c := range []struct{ name, want string }{
		{"a_hash", "1000: 6\n"},
		{"a_cpu_hash", "1000:\n  cpu 0: 1\n  cpu 1: 5\n"},
		{"a_cpu_hash", "  sum: 6\n"},
		{"an_lru_hash", "{addr: 16908480, port: 1001, zero: 0}: 2\n"},
		{"a_struct", "{addr: 16908480, port: 1001, zero: 0}: {packets: 2, balance: -6, sizes: [[7, 0, 0], [0, 0, 52]], name: \"flow\", color: GREEN, big: false, low: 1, high: 52, ttl: 64, u: {id: 65601536}}\n"},
		{"maps.bss", "{hits: 44}\n"},
	} {
		if got := harness.MustRun(t, harness.Xdpmux(), "map", "dump", v.Name, c.name); !strings.Contains(got, c.want) {
			t.Errorf("%s has not %q:\n%s", c.name, c.want, got)
		}
	}
	m, err := maps.OpenID(mapsOf(t, v)["a_cpu_hash"].ID)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if total, err := m.Total(t.Context()); err != nil || total != 44 {
		t.Errorf("total %d, %v, want 44", total, err)
	}
	perCPU, err := maps.Lookup[uint64](m, uint16(1000))
	if err != nil || perCPU[0] != 1 || perCPU[1] != 5 {
		t.Errorf("port 1000: %v, %v, want 1 and 5", perCPU, err)
	}
	if _, err := maps.Lookup[uint32](m, uint16(1000)); err == nil {
		t.Error("a value of the wrong size was read")
	}
}

func TestMapList(t *testing.T) {
	v := chainOf(t, counting, other)
	chain := harness.Status(t, v.Name)
	list := mapsOf(t, v)
	for _, p := range chain.Programs {
		var shown struct {
			MapIDs []uint32 `json:"map_ids"`
		}
		decode(t, harness.MustRun(t, "bpftool", "-j", "prog", "show", "id", fmt.Sprint(p.ID)), &shown)
		ids := map[uint32]bool{}
		for _, m := range list {
			if m.Programs[0].ID == p.ID {
				ids[m.ID] = true
			}
		}
		if len(ids) != len(shown.MapIDs) {
			t.Errorf("%s: maps %v, bpftool says %v", p.Name, ids, shown.MapIDs)
		}
		for _, id := range shown.MapIDs {
			if !ids[id] {
				t.Errorf("%s: map %d is missing", p.Name, id)
			}
		}
	}
	m := list["a_cpu_array"]
	if m.Type != "percpu_array" || m.KeySize != 4 || m.ValueSize != 4 || m.MaxEntries != 3 || !m.PerCPU || !m.BTF {
		t.Errorf("a_cpu_array: %+v", m)
	}
}

func TestMapLarge(t *testing.T) {
	v := chainOf(t, counting)
	list := mapsOf(t, v)
	m, err := maps.OpenID(list["large"].ID)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var want uint64
	for i := range uint32(50000) {
		if err := m.Update(i, uint64(i)); err != nil {
			t.Fatal(err)
		}
		want += uint64(i)
	}
	if total, err := m.Total(t.Context()); err != nil || total != want {
		t.Errorf("total %d, %v, want %d", total, err, want)
	}
	// A reader that takes one line and goes: no complaint, and no failure.
	cmd := exec.Command("bash", "-c", `set -o pipefail; "$0" map dump "$1" large | head -n 1`, harness.Xdpmux(), v.Name)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "\n") != 1 {
		t.Errorf("closed pipe: %v\n%s", err, out)
	}
}

func TestMapWatch(t *testing.T) {
	v := chainOf(t, other)
	p := harness.Start(t, harness.Xdpmux(), "map", "dump", "--json", "--watch", "--interval", "1", v.Name, "--name", "rxcnt")
	frames := [][]byte{}
	for range 1000 {
		frames = append(frames, harness.UDP6(harness.Flow{}))
	}
	for i := range 3 {
		var d struct{ Entries []entry }
		if err := json.Unmarshal([]byte(p.Stdout.Line(t)), &d); err != nil {
			t.Fatal(err)
		}
		rate, _ := d.Entries[0].PerSecond.(float64)
		switch sum := d.Entries[0].Sum.(float64); {
		case i == 0 && (sum != 0 || d.Entries[0].PerSecond != nil):
			t.Errorf("first round: sum %v, %v per second", sum, d.Entries[0].PerSecond)
		case i == 1 && (sum == 0 || rate <= 0):
			t.Errorf("round with packets: sum %v, %v per second", sum, rate)
		case i == 2 && sum != 1000:
			t.Errorf("last round: sum %v, want 1000", sum)
		}
		if i == 0 {
			v.Deliver(t, frames...)
		}
	}
	p.Stop(t, os.Interrupt)
}

func TestMapBadInput(t *testing.T) {
	v := chainOf(t, counting, other)
	empty := harness.NewVeth(t)
	for _, c := range []struct{ args, want string }{
		{"map", "map needs a command"},
		{"map shred x", `unknown command "map shred"`},
		{"map list", "map list needs one interface"},
		{"map list nowhere0", `no interface "nowhere0"`},
		{"map dump IF", "map dump needs either a map's name or its id"},
		{"map dump IF rxcnt --id 3", "map dump needs either a map's name or its id"},
		{"map dump IF rxcnt --name rxcnt", "map dump needs either a map's name or its id"},
		{"map dump IF --name rxcnt --id 3", "map dump needs either a map's name or its id"},
		{"map dump IF rxcnt --interval 5", "--interval goes with --watch"},
		{"map dump IF rxcnt --watch --interval soon", `interval "soon" is not a time`},
		{"map dump IF rxcount", `no program on IF uses a map "rxcount"` + "\n  its maps: "},
		{"map dump IF rxcount", "rxcnt (id "},
		{"map dump --id 999999 IF", "no program on IF uses a map with id 999999"},
		{"map dump --id x IF", `"x" is not a map's id`},
		{"map dump IF a_ring", "map a_ring is a ringbuf, which has no entries to read"},
		{"map dump IF a_hash --limit 0", "0 entries can't be printed"},
		{"map dump IF a_hash --limit 1 --key 1", "--key and --limit exclude each other"},
		{"map update IF a_hash", "map update needs a key and a value"},
		{"map update IF a_hash --key 1", "map update needs a key and a value"},
		{"map update IF --key 1 --value 2", "map update needs either a map's name or its id"},
		{"map delete IF a_hash", "map delete needs a key"},
		{"map delete --key 1", "map delete needs an interface and a map"},
		{"map dump " + empty.Name + " rxcnt", `no program on ` + empty.Name + ` uses a map "rxcnt"` + "\n  there is no map at all"},
	} {
		args := strings.Fields(strings.ReplaceAll(c.args, "IF", v.Name))
		stdout, stderr, status := harness.Run(t, harness.Xdpmux(), args...)
		want := strings.ReplaceAll(c.want, "IF", v.Name)
		if status != 1 || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, %q\nwant %q\n got %q", c.args, status, stdout, want, stderr)
		}
	}
}

func TestMapsOfOneName(t *testing.T) {
	v := chainOf(t, other, other)
	_, stderr, status := harness.Run(t, harness.Xdpmux(), "map", "dump", v.Name, "rxcnt")
	if status != 1 || !strings.Contains(stderr, "choose one with --id: ") {
		t.Errorf("status %d, %s", status, stderr)
	}
	for _, m := range mapsOf(t, v) {
		harness.MustRun(t, harness.Xdpmux(), "map", "dump", "--id", fmt.Sprint(m.ID), v.Name)
	}
}

func TestMapWithoutBTF(t *testing.T) {
	v := chainOf(t, harness.Fixture("maptypes"))
	harness.MustRun(t, harness.Xdpmux(), "map", "update", v.Name, "untyped", "--key", "258", "--value", "0a 0b 0c 0d 00 00 00 ff")
	stdout, stderr, status := harness.Run(t, harness.Xdpmux(), "map", "dump", v.Name, "untyped")
	if want := "02 01 00 00: 0a 0b 0c 0d 00 00 00 ff\n"; status != 0 || stdout != want || !strings.Contains(stderr, "no type information (BTF)") {
		t.Errorf("status %d, %q, %q, want %q", status, stdout, stderr, want)
	}
}
