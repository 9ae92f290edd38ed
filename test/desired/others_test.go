package desired

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/test/harness"
)

// nativeLoad loads a program with xdp-loader and returns its id.
func nativeLoad(t *testing.T, v *harness.Veth, args ...string) uint32 {
	t.Helper()
	before := map[uint32]bool{}
	for _, p := range harness.Status(t, v.Name).Programs {
		before[p.ID] = true
	}
	harness.MustRun(t, "xdp-loader", append([]string{"load", v.Name}, args...)...)
	for _, p := range harness.Status(t, v.Name).Programs {
		if !before[p.ID] {
			return p.ID
		}
	}
	t.Fatal("xdp-loader has loaded nothing")
	return 0
}

// only is the id of the only program on an interface.
func only(t *testing.T, v *harness.Veth) uint32 {
	t.Helper()
	chain := harness.Status(t, v.Name)
	if len(chain.Programs) != 1 {
		t.Fatalf("%s runs %s", v.Name, text(chain))
	}
	return chain.Programs[0].ID
}

// settled checks that a file has nothing to be done.
func settled(t *testing.T, file string) {
	t.Helper()
	if out := mustExit(t, 0, "plan", "-f", file); !strings.Contains(out, "nothing to do") {
		t.Errorf("a second plan:\n%s", out)
	}
}

// oneProgram is a state of one program called a, with what follows its object.
func oneProgram(t *testing.T, v *harness.Veth, object, rest string) string {
	t.Helper()
	return write(t, "state.yaml", fmt.Sprintf("interfaces: [{name: %s, programs: [{name: a, object: %s%s}]}]", v.Name, object, rest))
}

// TestOthersContents: a program that another tool has loaded is what the file wants
// only if its maps hold what the file says; else it is replaced.
func TestOthersContents(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	count := object(t, "xdp_count")
	theirs := nativeLoad(t, v, count)
	file := oneProgram(t, v, count, ", maps: {packets: [{key: 0, value: 5}]}")
	if out := mustExit(t, 2, "plan", "-f", file); !strings.Contains(out, "replace  a") || !strings.Contains(out, "its map packets doesn't hold what the file says") {
		t.Errorf("plan:\n%s", out)
	}
	mustExit(t, 0, "apply", "-f", file)
	ours := only(t, v)
	if ours == theirs {
		t.Error("the program was not replaced")
	}
	if got := harness.CPUCounters(t, ours)[0][0]; got != 5 {
		t.Errorf("the map holds %d, want 5", got)
	}
	settled(t, file)

	removeRecords(t) // as if another tool had loaded it: now the map is as the file says
	if out := mustExit(t, 2, "plan", "-f", file); !strings.Contains(out, "adopt  a") {
		t.Errorf("plan:\n%s", out)
	}
	mustExit(t, 0, "apply", "-f", file)
	if got := only(t, v); got != ours {
		t.Errorf("program %d is now %d", ours, got)
	}
	settled(t, file)
	mustExit(t, 0, "apply", "-f", write(t, "none.yaml", "interfaces: [{name: "+v.Name+"}]"))
}

// TestOthersPins: the same with the place where maps are pinned.
func TestOthersPins(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	pins := "/sys/fs/bpf/xm-others"
	t.Cleanup(func() { os.RemoveAll(pins) })
	pinned := object(t, "fixtures/pinned")
	theirs := nativeLoad(t, v, pinned, "-s", "xdp/good")
	file := oneProgram(t, v, pinned, ", section: xdp/good, pin-path: "+pins)
	if out := mustExit(t, 2, "plan", "-f", file); !strings.Contains(out, "replace  a") || !strings.Contains(out, "its map pinned_packets is not pinned at "+pins) {
		t.Errorf("plan:\n%s", out)
	}
	mustExit(t, 0, "apply", "-f", file)
	if got := only(t, v); got == theirs {
		t.Error("the program was not replaced")
	}
	if _, err := os.Stat(filepath.Join(pins, "pinned_packets")); err != nil {
		t.Error(err)
	}
	settled(t, file)
	mustExit(t, 0, "unload", "-a", v.Name)

	theirs = nativeLoad(t, v, pinned, "-s", "xdp/good", "-p", pins)
	if out := mustExit(t, 0, "apply", "-f", file); !strings.Contains(out, "adopt  a") {
		t.Errorf("apply:\n%s", out)
	}
	if got := only(t, v); got != theirs {
		t.Errorf("program %d is now %d", theirs, got)
	}
	settled(t, file)
	mustExit(t, 0, "unload", "-a", v.Name)
}

// TestOthersConstants: the kernel's tag doesn't cover constants, so they are compared.
func TestOthersConstants(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	globals := object(t, "fixtures/globals")
	theirs := nativeLoad(t, v, globals)
	file := oneProgram(t, v, harness.EditSection(t, globals, ".rodata", func(b []byte) { b[0]++ }), "")
	if out := mustExit(t, 0, "apply", "-f", file); !strings.Contains(out, "replace  a") || !strings.Contains(out, "its constants (.rodata) are others") {
		t.Errorf("apply:\n%s", out)
	}
	if got := only(t, v); got == theirs {
		t.Error("the program was not replaced")
	}
	settled(t, file)
	removeRecords(t)
	if out := mustExit(t, 0, "apply", "-f", file); !strings.Contains(out, "adopt  a") {
		t.Errorf("apply without records:\n%s", out)
	}
	mustExit(t, 0, "unload", "-a", v.Name)
}

// TestNamesake: another tool's program of the same function, but with other code, stays
// and both run. Only who says --adopt has it replaced; and a program that was never
// taken is not removed with the file's.
func TestNamesake(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	dir := t.TempDir()
	passVariant(t, dir, 1)
	theirs := nativeLoad(t, v, filepath.Join(dir, "variant.o"), "-P", "70")
	file := oneProgram(t, v, object(t, "xdp_pass"), "")
	for _, command := range []string{"plan", "apply"} {
		out := mustExit(t, map[string]int{"plan": 2, "apply": 0}[command], command, "-f", file)
		want := fmt.Sprintf("program %d (xdp_pass) has another content, was not put there by apply, and stays", theirs)
		if !strings.Contains(out, "add  a  ") || !strings.Contains(out, want) {
			t.Errorf("%s:\n%s", command, out)
		}
	}
	both := "50 xdp_pass XDP_PASS; 70 xdp_pass XDP_PASS"
	if got := text(harness.Status(t, v.Name)); got != both {
		t.Errorf("%s runs %s, want %s", v.Name, got, both)
	}
	settled(t, file)
	mustExit(t, 0, "apply", "-f", write(t, "none.yaml", "interfaces: [{name: "+v.Name+"}]"))
	if got := only(t, v); got != theirs {
		t.Errorf("program %d is now %d", theirs, got)
	}

	if out := mustExit(t, 0, "apply", "-f", file, "--adopt"); !strings.Contains(out, "replace  a") || !strings.Contains(out, "its tag is another") {
		t.Errorf("apply --adopt:\n%s", out)
	}
	if got := only(t, v); got == theirs {
		t.Error("the program was not replaced")
	}
	mustExit(t, 0, "unload", "-a", v.Name)
}

// TestPruneAlone: --prune removes a program without a dispatcher too, where none is
// wanted; one that a bpf_link holds is left to the link's holder, who is named.
func TestPruneAlone(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	none := write(t, "none.yaml", "interfaces: [{name: "+v.Name+", programs: []}]")
	some := oneProgram(t, v, object(t, "xdp_pass"), "")
	fd := harness.Program(t, harness.Pass)
	v.Attach(t, fd, harness.Native)
	settled(t, none)
	if out := mustExit(t, 2, "plan", "-f", none, "--prune"); !strings.Contains(out, "the file doesn't have it") {
		t.Errorf("plan --prune:\n%s", out)
	}
	mustExit(t, 0, "apply", "-f", none, "--prune")
	if chain := harness.Status(t, v.Name); chain.Legacy != nil {
		t.Errorf("%v is still there", chain.Legacy)
	}

	link, err := libbpf.LinkCreate(fd, v.Index, libbpf.AttachXDP, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	settled(t, none)
	for _, args := range [][]string{{"plan", "-f", some}, {"apply", "-f", some}, {"plan", "-f", none, "--prune"}, {"apply", "-f", none, "--prune"}} {
		_, stderr, status := harness.Run(t, harness.Xdpmux(), args...)
		if status != 1 || !strings.Contains(stderr, "held by bpf_link ") || !strings.Contains(stderr, fmt.Sprintf("process %d (", os.Getpid())) ||
			!strings.Contains(stderr, "bpftool link detach id ") || strings.Contains(stderr, "unload -a") {
			t.Errorf("%s: exit status %d\n%s", strings.Join(args, " "), status, stderr)
		}
	}
	link.Close()
}

// TestNamesMoveOn: what still runs keeps its maps when the names in the file move on.
func TestNamesMoveOn(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	state := func(first, second string) string {
		return write(t, "state.yaml", fmt.Sprintf("interfaces: [{name: %s, programs: [{name: %s, object: %s}, {name: %s, object: %s}]}]",
			v.Name, first, object(t, "xdp_count"), second, object(t, "xdp_pass")))
	}
	mustExit(t, 0, "apply", "-f", state("a", "b"))
	before := asJSON(t, harness.Status(t, v.Name))
	file := state("b", "c")
	mustExit(t, 0, "apply", "-f", file)
	if after := asJSON(t, harness.Status(t, v.Name)); after != before {
		t.Errorf("the chain is\n%s and was\n%s", after, before)
	}
	if out := mustExit(t, 0, "export", v.Name); !strings.Contains(out, "name: c") || strings.Contains(out, "name: a") {
		t.Errorf("export:\n%s", out)
	}
	mustExit(t, 0, "unload", "-a", v.Name)
}

// TestExportNames: names that are patterns are exported as names, and an interface that
// is named twice once.
func TestExportNames(t *testing.T) {
	harness.NoLeak(t)
	harness.InNetns(t, func() {
		a, b := harness.NewVeth(t), harness.NewVeth(t)
		rename := func(v *harness.Veth, name string) {
			link, err := netlink.LinkByName(v.Name)
			if err == nil { // before 6.2 the kernel renames no interface that is up
				err = errors.Join(netlink.LinkSetDown(link), netlink.LinkSetName(link, name), netlink.LinkSetUp(link))
			}
			if err != nil {
				t.Fatal(err)
			}
			v.Name = name
		}
		rename(a, "x*")
		rename(b, "x[")
		for _, v := range []*harness.Veth{a, b} {
			mustExit(t, 0, "apply", "-f", write(t, "state.json", fmt.Sprintf(`{"interfaces": [{"name": %q, "programs": [{"name": "a", "object": %q}]}]}`,
				`x\`+v.Name[1:], object(t, "xdp_pass"))))
		}
		exported := mustExit(t, 0, "export", a.Name, b.Name, a.Name)
		if n := strings.Count(exported, "mode:"); n != 2 {
			t.Errorf("%d interfaces are exported:\n%s", n, exported)
		}
		for _, v := range []*harness.Veth{a, b} {
			mustExit(t, 0, "unload", "-a", v.Name)
		}
		mustExit(t, 0, "apply", "-f", write(t, "export.yaml", exported))
		for _, v := range []*harness.Veth{a, b} {
			if got := text(harness.Status(t, v.Name)); got != "50 xdp_pass XDP_PASS" {
				t.Errorf("%s runs %s", v.Name, got)
			}
			mustExit(t, 0, "unload", "-a", v.Name)
		}
	})
}

// TestLostPin: a pin that somebody has removed is put back, with all that the map
// holds; one that is another map's by now makes the program come anew.
func TestLostPin(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	pins := "/sys/fs/bpf/xm-lost"
	t.Cleanup(func() { os.RemoveAll(pins) })
	pin := filepath.Join(pins, "pinned_packets")
	file := oneProgram(t, v, object(t, "fixtures/pinned"), ", section: xdp/good, pin-path: "+pins+", maps: {pinned_packets: [{key: 0, value: 7}]}")
	mustExit(t, 0, "apply", "-f", file)
	id := only(t, v)
	if err := os.RemoveAll(pins); err != nil {
		t.Fatal(err)
	}
	if out := mustExit(t, 2, "plan", "-f", file); !strings.Contains(out, "pin  a") || !strings.Contains(out, "not pinned any more: pinned_packets") {
		t.Errorf("plan:\n%s", out)
	}
	mustExit(t, 0, "apply", "-f", file)
	if got := only(t, v); got != id {
		t.Errorf("program %d is now %d", id, got)
	}
	if fd, err := libbpf.ObjGet(pin); err != nil {
		t.Error(err)
	} else {
		fd.Close()
	}
	settled(t, file)

	if err := os.Remove(pin); err != nil {
		t.Fatal(err)
	}
	other, err := libbpf.CreateMap(libbpf.MapTypeArray, "pinned_packets", 4, 8, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := libbpf.ObjPin(other.Int(), pin); err != nil {
		t.Fatal(err)
	}
	if out := mustExit(t, 0, "apply", "-f", file); !strings.Contains(out, "replace  a") || !strings.Contains(out, "the pin of its map pinned_packets is another map's") {
		t.Errorf("apply:\n%s", out)
	}
	if got := only(t, v); got == id {
		t.Error("the program was not replaced")
	}
	settled(t, file)
	mustExit(t, 0, "unload", "-a", v.Name)
}

// TestRecordIsDirectory: what isn't a record where one should be is in nobody's way.
func TestRecordIsDirectory(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	file := oneProgram(t, v, object(t, "xdp_pass"), "")
	mustExit(t, 0, "apply", "-f", file)
	id := only(t, v)
	record := filepath.Join("/run/xdpmux", fmt.Sprint(id)+".json")
	for _, path := range []string{record, record + ".new"} {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(path, "in", "the", "way"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if out := mustExit(t, 2, "plan", "-f", file); !strings.Contains(out, "adopt  a") {
		t.Errorf("plan:\n%s", out)
	}
	mustExit(t, 0, "export", v.Name)
	mustExit(t, 0, "apply", "-f", file)
	if got := only(t, v); got != id {
		t.Errorf("program %d is now %d", id, got)
	}
	settled(t, file)
	mustExit(t, 0, "unload", "-a", v.Name)
}
