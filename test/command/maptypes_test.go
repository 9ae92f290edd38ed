package command

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/test/harness"
)

// typesOf loads the program with a map of each special type.
func typesOf(t *testing.T) (v *harness.Veth, ids map[string]uint32) {
	t.Helper()
	v = chainOf(t, harness.Fixture("maptypes"))
	ids = map[string]uint32{}
	for name, m := range mapsOf(t, v) {
		ids[name] = m.ID
	}
	return v, ids
}

// raw is the value of a key as the kernel hands it out.
func raw(t *testing.T, id uint32, key uint32) uint32 {
	t.Helper()
	m, err := libbpf.MapByID(id)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	value := make([]byte, 8)
	if err := libbpf.MapLookup(m.Int(), binary.NativeEndian.AppendUint32(nil, key), value); err != nil {
		t.Fatal(err)
	}
	return binary.NativeEndian.Uint32(value)
}

func set(t *testing.T, v *harness.Veth, name, key, value string) {
	t.Helper()
	harness.MustRun(t, harness.Xdpmux(), "map", "update", v.Name, name, "--key", key, "--value", value)
}

// dumps holds map dump to a text and, field by field, to JSON.
func dumps(t *testing.T, v *harness.Veth, name, text, asJSON string) {
	t.Helper()
	stdout, stderr, status := harness.Run(t, harness.Xdpmux(), "map", "dump", v.Name, name)
	if status != 0 || stdout != text {
		t.Errorf("%s: status %d, %q (%s), want %q", name, status, stdout, stderr, text)
	}
	var got struct{ Entries []any }
	var want []any
	decode(t, harness.MustRun(t, harness.Xdpmux(), "map", "dump", "--json", v.Name, name), &got)
	decode(t, asJSON, &want)
	if g, w := fmt.Sprint(got.Entries), fmt.Sprint(want); g != w {
		t.Errorf("%s --json: %s, want %s", name, g, w)
	}
}

// Maps of interfaces, CPUs, programs and maps say which, by name and number, and are
// filled by either.
func TestMapTargets(t *testing.T) {
	v, ids := typesOf(t)
	iface := func(name string, index int) string {
		return fmt.Sprintf(`"interface":{"name":"%s","index":%d}`, name, index)
	}

	set(t, v, "devices", "1", v.Peer)
	set(t, v, "devices", "2", fmt.Sprint(v.Index))
	if got := raw(t, ids["devices"], 1); got != uint32(v.PeerIndex) {
		t.Errorf("device 1: %d, want %d", got, v.PeerIndex)
	}
	dumps(t, v, "devices", fmt.Sprintf("1: %s (%d)\n2: %s (%d)\n", v.Peer, v.PeerIndex, v.Name, v.Index),
		fmt.Sprintf(`[{"key":1,"value":{%s}},{"key":2,"value":{%s}}]`, iface(v.Peer, v.PeerIndex), iface(v.Name, v.Index)))
	for _, name := range []string{"old_devices", "device_hash"} {
		set(t, v, name, "3", v.Peer)
		dumps(t, v, name, fmt.Sprintf("3: %s (%d)\n", v.Peer, v.PeerIndex), fmt.Sprintf(`[{"key":3,"value":{%s}}]`, iface(v.Peer, v.PeerIndex)))
	}
	set(t, v, "cpus", "1", "192")
	dumps(t, v, "cpus", "1: queue of 192 packets\n", `[{"key":1,"value":{"queue_size":192}}]`)

	inner, err := maps.OpenID(ids["inner_map"])
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	whole, err := json.Marshal(inner.Info)
	if err != nil {
		t.Fatal(err)
	}
	set(t, v, "map_array", "3", fmt.Sprint(inner.ID))
	set(t, v, "map_hash", "7", fmt.Sprint(inner.ID))
	dumps(t, v, "map_array", fmt.Sprintf("1: map inner_map (%d)\n3: map inner_map (%d)\n", inner.ID, inner.ID),
		fmt.Sprintf(`[{"key":1,"value":{"map":%s}},{"key":3,"value":{"map":%s}}]`, whole, whole))
	dumps(t, v, "map_hash", fmt.Sprintf("07 00 00 00: map inner_map (%d)\n", inner.ID), fmt.Sprintf(`[{"key":"0x07000000","value":{"map":%s}}]`, whole))

	for _, name := range []string{"devices", "cpus", "map_array"} {
		key := map[string]string{"devices": "2", "cpus": "1", "map_array": "3"}[name]
		harness.MustRun(t, harness.Xdpmux(), "map", "delete", v.Name, name, "--key", key)
		_, stderr, status := harness.Run(t, harness.Xdpmux(), "map", "delete", v.Name, name, "--key", key)
		if status != 1 || !strings.Contains(stderr, "map "+name+" has no entry "+key) {
			t.Errorf("%s: deleted twice: status %d, %s", name, status, stderr)
		}
	}
}

// A program array says which programs it calls. The test pins it before anything else opens
// it; the fixture says why.
func TestMapProgramArray(t *testing.T) {
	v := chainOf(t, harness.Fixture("calls"))
	const pin = "/sys/fs/bpf/calls"
	harness.MustRun(t, "bpftool", "map", "pin", "name", "calls", pin)
	t.Cleanup(func() { harness.MustRun(t, "rm", pin) })
	program := harness.Program(t, harness.Pass)
	info, err := libbpf.ProgInfoByFD(program)
	if err != nil {
		t.Fatal(err)
	}
	m, err := libbpf.ObjGet(pin)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := libbpf.MapUpdate(m.Int(), make([]byte, 4), binary.NativeEndian.AppendUint32(nil, uint32(program)), libbpf.UpdateAny); err != nil {
		t.Fatal(err)
	}
	dumps(t, v, "calls", fmt.Sprintf("0: program %d\n", info.ID), fmt.Sprintf(`[{"key":0,"value":{"program":{"id":%d,"name":"","tag":"%v"}}}]`, info.ID, info.Tag))
	_, stderr, status := harness.Run(t, harness.Xdpmux(), "map", "update", v.Name, "calls", "--key", "1", "--value", fmt.Sprint(info.ID))
	if status != 1 || !strings.Contains(stderr, "map calls is a prog_array, which the kernel empties") {
		t.Errorf("update: status %d, %s", status, stderr)
	}
	harness.MustRun(t, harness.Xdpmux(), "map", "delete", v.Name, "calls", "--key", "0")
	_, stderr, status = harness.Run(t, harness.Xdpmux(), "map", "delete", v.Name, "calls", "--key", "0")
	if status != 1 || !strings.Contains(stderr, "map calls has no entry 0") {
		t.Errorf("deleted twice: status %d, %s", status, stderr)
	}
}

// Programs that run for a device or a CPU are named too.
func TestMapTargetPrograms(t *testing.T) {
	v, ids := typesOf(t)
	const pins = "/sys/fs/bpf/maptypes"
	harness.MustRun(t, "bpftool", "prog", "loadall", harness.Fixture("maptypes"), pins)
	t.Cleanup(func() { harness.MustRun(t, "rm", "-r", pins) })
	for _, c := range []struct {
		name, program, want string
		number              uint32
	}{
		{"devices", "for_device", fmt.Sprintf("0: %s (%d), program for_device (ID)\n", v.Peer, v.PeerIndex), uint32(v.PeerIndex)},
		{"cpus", "for_cpu", "0: queue of 64 packets, program for_cpu (ID)\n", 64},
	} {
		program, err := libbpf.ObjGet(pins + "/" + c.program)
		if err != nil {
			t.Fatal(err)
		}
		defer program.Close()
		info, err := libbpf.ProgInfoByFD(program.Int())
		if err != nil {
			t.Fatal(err)
		}
		m, err := libbpf.MapByID(ids[c.name])
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		value := binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, c.number), uint32(program.Int()))
		if err := libbpf.MapUpdate(m.Int(), make([]byte, 4), value, libbpf.UpdateAny); err != nil {
			t.Fatal(err)
		}
		want := strings.ReplaceAll(c.want, "ID", fmt.Sprint(info.ID))
		if got := harness.MustRun(t, harness.Xdpmux(), "map", "dump", v.Name, c.name); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What nobody can read says so at once, whatever is asked of it.
func TestMapUnreadable(t *testing.T) {
	v, _ := typesOf(t)
	for name, want := range map[string]string{
		"sockets": "map sockets is a xskmap, which lets nobody read what is in it\n  ss --xdp -e lists the AF_XDP sockets",
		"events":  "map events is a perf_event_array, which has no entries to read",
		"a_queue": "map a_queue is a queue, which has no keys",
		"a_stack": "map a_stack is a stack, which has no keys",
		"a_bloom": "map a_bloom is a bloom_filter, which has no entries to read",
	} {
		for _, args := range [][]string{{"dump"}, {"dump", "--json"}, {"dump", "--watch"}, {"dump", "--key", "1"}, {"update", "--key", "1", "--value", "1"}, {"delete", "--key", "1"}} {
			stdout, stderr, status := harness.Run(t, harness.Xdpmux(), append([]string{"map", args[0], v.Name, name}, args[1:]...)...)
			if status != 1 || stdout != "" || !strings.HasPrefix(stderr, "xdpmux: "+want) {
				t.Errorf("%s %q: status %d, %q, %q", name, args, status, stdout, stderr)
			}
		}
	}
}

// Entries are set, shown one by one, and removed, with the words of state files.
func TestMapEntries(t *testing.T) {
	v, ids := typesOf(t)
	set(t, v, "addresses", "192.0.2.1", "0a000001 0a000002 20010db8000000000000000000000001")
	dumps(t, v, "addresses", "192.0.2.1: {from: 10.0.0.1, to: 10.0.0.2, to6: 2001:db8::1}\n",
		`[{"key":"192.0.2.1","value":{"from":"10.0.0.1","to":"10.0.0.2","to6":"2001:db8::1"}}]`)
	for i := range 3 {
		set(t, v, "small", fmt.Sprint(i), fmt.Sprint(100+i))
	}
	set(t, v, "small", "0x1", "0x7fffffffffffffff")
	bpftool := dumpBpftool(t, ids["small"])
	for key, want := range map[string]string{"0": "100", "1": "9223372036854775807", "2": "102"} {
		if got := fmt.Sprint(bpftool[key].Value); got != want {
			t.Errorf("bpftool: entry %s is %s, want %s", key, got, want)
		}
	}
	dump := func(args ...string) string {
		return harness.MustRun(t, harness.Xdpmux(), append([]string{"map", "dump", v.Name}, args...)...)
	}
	if got := dump("small", "--key", "2"); got != "2: 102\n" {
		t.Errorf("entry 2: %q", got)
	}
	if got := dump("small", "--limit", "2"); strings.Count(got, "\n") != 2 {
		t.Errorf("two entries: %q", got)
	}
	var limited struct{ Entries []entry }
	decode(t, dump("--json", "small", "--limit", "1"), &limited)
	if len(limited.Entries) != 1 {
		t.Errorf("%d entries, want 1", len(limited.Entries))
	}
	harness.MustRun(t, harness.Xdpmux(), "map", "delete", v.Name, "--id", fmt.Sprint(ids["small"]), "--key", "1")
	if got := len(dumpBpftool(t, ids["small"])); got != 2 {
		t.Errorf("%d entries after one of three was removed", got)
	}
	set(t, v, "small", "1", "1")
	set(t, v, "per_cpu", "1", "5")
	if got, want := dump("per_cpu", "--key", "1"), "1:\n  cpu 0: 5\n  cpu 1: 5\n  sum: 10\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, c := range []struct{ args, want string }{
		{"dump small --key 9", "map small has no entry 9"},
		{"delete small --key 9", "map small has no entry 9"},
		{"update small --key 9 --value 1", "map small is full: it has room for 3 entries"},
		{"update small --key eth0 --value 1", "map small: key eth0 is neither a number nor an address"},
		{"update small --key 1 --value 192.0.2.1", "map small: value 192.0.2.1 has 4 bytes, and 8 are wanted"},
		{"dump per_cpu --key 2", "map per_cpu has no entry 2"},
		{"update per_cpu --key 2 --value 1", "map per_cpu has entries 0 to 1, and 2 is none of them"},
		{"delete per_cpu --key 1", "map per_cpu is a percpu_array, whose entries are there for ever"},
		{"update maptypes.rodata --key 0 --value 1", "map maptypes.rodata can't be changed: it holds constants"},
		{"update devices --key 0 --value nowhere0", "map devices: value nowhere0 is neither"},
		{"update devices --key 0 --value 99999", "map devices: no interface of that index in this network namespace"},
		{"update devices --key 9 --value " + v.Peer, "map devices has entries 0 to 3, and 9 is none of them"},
		{"update device_hash --key 0 --value 99999", "map device_hash: no interface of that index"},
		{"update cpus --key 1 --value 99999", "the kernel refuses entry 1 of map cpus, a cpumap"},
		{"update cpus --key 3 --value 64", "map cpus: there is no CPU 3"},
		{"update map_array --key 0 --value 4294967295", "no map with id 4294967295"},
		{"update map_array --key 0 --value " + fmt.Sprint(ids["per_cpu"]), "the kernel refuses entry 0 of map map_array"},
	} {
		words := strings.Fields(c.args)
		args := append([]string{"map", words[0], v.Name}, words[1:]...)
		stdout, stderr, status := harness.Run(t, harness.Xdpmux(), args...)
		if status != 1 || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: status %d, %q\nwant %q\n got %q", c.args, status, stdout, c.want, stderr)
		}
	}
}

// The array of a program in a chain shows whom that calls.
func TestMapTailCalls(t *testing.T) {
	v := chainOf(t, harness.Fixture("tailcall"))
	stdout := harness.MustRun(t, harness.Xdpmux(), "map", "dump", v.Name, "calls")
	if !regexp.MustCompile(`^0: program t_pass \(\d+\)\n1: program t_drop \(\d+\)\n2: program t_tx \(\d+\)\n4: program t_again \(\d+\)\n$`).MatchString(stdout) {
		t.Error(stdout)
	}
}
