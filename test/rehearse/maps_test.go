package rehearse

import (
	"slices"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/dispatcher/rehearse"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// prefix is struct prefix of policy.bpf.c.
type prefix struct {
	Length uint32
	Bytes  [4]byte
}

// fill gives each map of the program policy something to hold.
func fill(t *testing.T, v *harness.Veth, id uint32) {
	t.Helper()
	word := func(n int) uint32 { return uint32(n) }
	set(t, id, "in_array", word(5), word(int(xdp.Drop)))
	set(t, id, "in_hash", word(5), word(int(xdp.TX)))
	set(t, id, "in_lpm", prefix{8, [4]byte{10}}, word(int(xdp.Drop)))
	set(t, id, "in_lpm", prefix{24, [4]byte{10, 1, 2}}, word(int(xdp.Aborted)))
	set(t, id, "in_cpu_array", word(5), word(int(xdp.Drop)))
	set(t, id, "in_cpu_hash", word(5), word(int(xdp.Drop)))
	set(t, id, "in_lru", word(5), word(int(xdp.Drop)))
	set(t, id, "policy.data", word(0), word(100+int(xdp.Drop)))
	set(t, id, "policy.bss", word(0), word(int(xdp.TX)))
	set(t, id, "budgets", word(5), word(2))
	set(t, id, "devices", word(1), word(v.PeerIndex))
	set(t, id, "processors", word(1), word(64))
	set(t, id, "seen", word(0), word(77))
	setInner(t, id, 5, uint32(xdp.Drop))
}

// setInner writes to the map that is in the map in_inner.
func setInner(t *testing.T, progID, key, value uint32) {
	t.Helper()
	outer, err := maps.Open(progID, "in_inner")
	if err != nil {
		t.Fatal(err)
	}
	defer outer.Close()
	inner, err := maps.Lookup[uint32](outer, uint32(0))
	if err != nil {
		t.Fatal(err)
	}
	m, err := maps.OpenID(inner[0])
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Update(key, value); err != nil {
		t.Fatal(err)
	}
}

// What policy says with the contents of fill, and what it says with its maps as they are in
// its object, worked out by hand.
var policies = []struct {
	name        string
	packet      []byte
	filled, new xdp.Verdict
}{
	{"array", packet(inArray, 5), xdp.Drop, xdp.Aborted},
	{"array, untouched", packet(inArray, 6), xdp.Aborted, xdp.Aborted},
	{"hash", packet(inHash, 5), xdp.TX, xdp.Pass},
	{"hash, no such key", packet(inHash, 6), xdp.Pass, xdp.Pass},
	{"LPM, the short prefix", packet(inLPM, 0, 0, 0, 0, 0), xdp.Pass, xdp.Pass},
	{"LPM, within 10/8", packet(inLPM, 0, 10, 9, 9, 9), xdp.Drop, xdp.Pass},
	{"LPM, within 10.1.2/24", packet(inLPM, 0, 10, 1, 2, 9), xdp.Aborted, xdp.Pass},
	{"per-CPU array", packet(inCPUArray, 5), xdp.Drop, xdp.Aborted},
	{"per-CPU hash", packet(inCPUHash, 5), xdp.Drop, xdp.Pass},
	{"LRU hash", packet(inLRU, 5), xdp.Drop, xdp.Pass},
	{"map in a map", packet(inInner, 5), xdp.Drop, xdp.Pass},
	{".data", packet(inData, 0), xdp.Drop, xdp.Pass},
	{".bss", packet(inBSS, 0), xdp.TX, xdp.Aborted},
	{".rodata", packet(inRodata, 0), xdp.TX, xdp.Pass},
	{"budget, first", packet(budget, 5), xdp.Pass, xdp.Pass},
	{"budget, second", packet(budget, 5), xdp.Pass, xdp.Pass},
	{"budget, used up", packet(budget, 5), xdp.Drop, xdp.Pass},
	{"device map", packet(device, 1), xdp.Redirect, xdp.Drop},
	{"device map, no such device", packet(device, 2), xdp.Drop, xdp.Drop},
	{"CPU map", packet(processor, 1), xdp.Redirect, xdp.Drop},
	{"pinned array", packet(seen, 77), xdp.Drop, xdp.Pass},
}

// TestMaps compares verdicts that come out of maps with those worked out by hand, before and
// after changes, and the running maps before and after the rehearsals byte for byte.
func TestMaps(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	running := fixture("policy")
	running.Variables = map[string]any{"in_rodata": uint32(xdp.TX)}
	id := attach(t, v.Name, running)[0].ID
	fill(t, v, id)
	before := contents(t, v.Name)
	// A program with variables isn't recorded.
	change := func(tx dispatcher.Transaction) rehearse.Change {
		return rehearse.Change{Transaction: tx, LoadedFrom: map[uint32]xdp.Program{id: fixture("policy")}}
	}
	for name, c := range map[string]struct {
		change rehearse.Change
		after  func(i int) string
	}{
		"nothing left": {change(dispatcher.Transaction{Remove: []uint32{id}}), func(int) string { return "XDP_PASS by nobody" }},
		"emptied":      {rehearse.Change{Empty: true, LoadedFrom: change(dispatcher.Transaction{}).LoadedFrom}, func(int) string { return "XDP_PASS by nobody" }},
		"replaced, new maps": {change(dispatcher.Transaction{Replace: []dispatcher.Replacement{{ID: id, Program: fixture("policy")}}}),
			func(i int) string { return policies[i].new.String() + " by policy" }},
		"replaced, maps kept": {change(dispatcher.Transaction{Replace: []dispatcher.Replacement{{ID: id, Program: fixture("policy"), KeepMaps: true}}}),
			func(i int) string {
				if policies[i].name == ".rodata" { // constants are always the new file's
					return policies[i].new.String() + " by policy"
				}
				return policies[i].filled.String() + " by policy"
			}},
		"moved": {change(dispatcher.Transaction{Set: []dispatcher.Setting{{ID: id, Priority: xdp.Prio(7)}}}),
			func(i int) string { return policies[i].filled.String() + " by policy" }},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, v.Name, c.change)
			for i, p := range policies {
				want := p.filled.String() + " by policy, " + c.after(i)
				if got := say(t, r, p.packet); got != want {
					t.Errorf("%s: %s, want %s", p.name, got, want)
				}
			}
		})
		if after := contents(t, v.Name); after != before {
			t.Errorf("%s: the running maps held\n%s\nand hold\n%s", name, before, after)
		}
	}
}

// TestPerCPU has another value for each CPU: the packets see that of the CPU that they run
// on.
func TestPerCPU(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	id := attach(t, v.Name, fixture("policy"))[0].ID
	m, err := maps.Open(id, "in_cpu_array")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	cpus, err := libbpf.NumPossibleCPUs()
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, v.Name, rehearse.Change{Transaction: dispatcher.Transaction{Set: []dispatcher.Setting{{ID: id, Priority: xdp.Prio(7)}}}})
	if got := say(t, r, packet(inCPUArray, 5)); got != "XDP_ABORTED by policy, XDP_ABORTED by policy" {
		t.Error(got)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	fd, err := libbpf.MapByID(m.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	values := make([]byte, 8*cpus)
	for cpu := range cpus {
		values[8*cpu] = byte(xdp.Drop)
		if cpu != r.CPU {
			values[8*cpu] = byte(xdp.TX)
		}
	}
	if err := libbpf.MapUpdate(fd.Int(), []byte{5, 0, 0, 0}, values, libbpf.UpdateAny); err != nil {
		t.Fatal(err)
	}
	r = open(t, v.Name, rehearse.Change{Transaction: dispatcher.Transaction{Set: []dispatcher.Setting{{ID: id, Priority: xdp.Prio(7)}}}})
	for range 50 {
		if got := say(t, r, packet(inCPUArray, 5)); got != "XDP_DROP by policy, XDP_DROP by policy" {
			t.Fatal(got)
		}
	}
}

// TestSharedMap has two programs share a map by a pin: their copies share its copy, and not
// the map itself.
func TestSharedMap(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	dir := pinDir(t)
	note, policy := fixture("note"), fixture("policy")
	note.PinPath, note.Priority = dir, xdp.Prio(10)
	policy.PinPath, policy.Priority = dir, xdp.Prio(20)
	programs := append(attach(t, v.Name, note), attach(t, v.Name, policy)...)
	set(t, programs[1].ID, "seen", uint32(0), uint32(7))
	before := contents(t, v.Name)
	for _, c := range []struct {
		name   string
		change dispatcher.Transaction
		key    byte
		want   []string // of packets with that key, one after the other
	}{
		// note writes the key, so that policy drops every packet. Behind policy it is too late
		// for the first one.
		{"moved behind", dispatcher.Transaction{Set: []dispatcher.Setting{{ID: programs[0].ID, Priority: xdp.Prio(30)}}}, 9,
			[]string{"XDP_DROP by policy, XDP_PASS by note", "XDP_DROP by policy, XDP_DROP by policy"}},
		// The value that the running map holds is in both copies.
		{"gone", dispatcher.Transaction{Remove: []uint32{programs[0].ID}}, 7, []string{"XDP_DROP by policy, XDP_DROP by policy"}},
		{"gone, another key", dispatcher.Transaction{Remove: []uint32{programs[0].ID}}, 9, []string{"XDP_DROP by policy, XDP_PASS by policy"}},
		// What comes uses the map that is pinned.
		{"loaded once more", dispatcher.Transaction{Remove: []uint32{programs[0].ID}, Replace: []dispatcher.Replacement{{ID: programs[1].ID, Program: policy}}}, 7,
			[]string{"XDP_DROP by policy, XDP_DROP by policy"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := open(t, v.Name, rehearse.Change{Transaction: c.change})
			for i, want := range c.want {
				if got := say(t, r, packet(seen, c.key)); got != want {
					t.Errorf("packet %d: %s, want %s", i+1, got, want)
				}
			}
		})
	}
	if after := contents(t, v.Name); after != before {
		t.Errorf("the running maps held\n%s\nand hold\n%s", before, after)
	}
}

// TestBytes tells packets that leave with other bytes.
func TestBytes(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	note := fixture("note")
	note.Priority = xdp.Prio(60)
	programs := attach(t, v.Name, fixture("policy"), note)
	set(t, programs[0].ID, "in_hash", uint32(5), uint32(xdp.Drop))
	r := open(t, v.Name, rehearse.Change{Transaction: dispatcher.Transaction{Remove: []uint32{programs[1].ID}}})
	for _, c := range []struct {
		packet []byte
		want   string
	}{
		{packet(0, 0), "XDP_PASS by note, XDP_PASS by policy, other bytes"},
		{packet(0, 0, 0, 0, 0, 0xee), "XDP_PASS by note, XDP_PASS by policy"}, // note writes what is there
		{packet(inHash, 5), "XDP_DROP by policy, XDP_DROP by policy"},
	} {
		if got := say(t, r, c.packet); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

// TestLimits names what a test run can't show, of the programs that it matters to.
func TestLimits(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	id := attach(t, v.Name, fixture("policy"))[0].ID
	moody := fixture("moody")
	r := open(t, v.Name, rehearse.Change{Transaction: dispatcher.Transaction{Add: []xdp.Program{moody, {File: object(harness.Sample("xdp_pass"))}}}})
	var got []string
	for _, l := range r.Limits {
		got = append(got, l.Program.Name+": "+l.Why)
	}
	for _, want := range []string{
		"policy: it redirects", "policy: its map sockets is empty in the copy", "policy: its map in_cpu_array has values for each CPU", "policy: its map in_cpu_hash",
		"moody: it reads the clock", "moody: it draws random numbers", "moody: it asks for the CPU",
	} {
		if !slices.ContainsFunc(got, func(l string) bool { return strings.HasPrefix(l, want) }) {
			t.Errorf("not named: %s", want)
		}
	}
	if len(got) != 7 {
		t.Errorf("%d limits, want 7:\n%s", len(got), strings.Join(got, "\n"))
	}
	for _, l := range r.Limits {
		if want := map[string]uint32{"policy": id}[l.Program.Name]; l.Program.ID != want {
			t.Errorf("%v has the id %d, want %d", l, l.Program.ID, want)
		}
	}
}
