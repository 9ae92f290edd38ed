package desired

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestExportByHand: export knows what load and replace have put there, and a chain made
// anew from it is the same. What runs is the state's once the export is applied.
func TestExportByHand(t *testing.T) {
	harness.NoLeak(t)
	a, b := harness.NewVeth(t), harness.NewVeth(t)
	pins := "/sys/fs/bpf/xm-byhand"
	t.Cleanup(func() { os.RemoveAll(pins) })
	dir := filepath.Dir(object(t, "x"))
	t.Chdir(dir) // what is exported doesn't depend on where load was called
	mustExit(t, 0, "load", a.Name, "xdp_count.o@prio=7,actions=XDP_DROP+XDP_TX", "xdp_count.o", "fixtures/pinned.o@section=xdp/good,pin="+pins)
	mustExit(t, 0, "load", a.Name+","+b.Name, "fixtures/unsized.o", "--map-size", "flows=500")
	mustExit(t, 0, "load", b.Name, "xdp_drop.o", "-P", "90")
	mustExit(t, 0, "replace", b.Name, "--name", "xdp_drop", "xdp_pass.o")
	mustExit(t, 0, "set", b.Name, "--name", "xdp_pass", "-P", "91")
	before := map[string]string{a.Name: shape(harness.Status(t, a.Name)), b.Name: shape(harness.Status(t, b.Name))}

	stdout, stderr, status := harness.Run(t, harness.Xdpmux(), "export", a.Name, b.Name)
	if status != 0 || stderr != "" {
		t.Errorf("exit status %d\n%s", status, stderr)
	}
	for _, want := range []string{"name: xdp_count\n", "name: xdp_count-2\n", "object: " + dir + "/xdp_pass.o\n", "pin-path: " + pins, "flows: 500", "priority: 91"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not exported:\n%s", want, stdout)
		}
	}
	exported := write(t, "export.yaml", stdout)
	ids := asJSON(t, harness.Status(t, a.Name)) + asJSON(t, harness.Status(t, b.Name))
	none := write(t, "none.yaml", fmt.Sprintf("interfaces: [{name: %s}, {name: %s}]", a.Name, b.Name))
	if out := mustExit(t, 0, "plan", "-f", none); strings.Count(out, "nothing to do") != 2 {
		t.Errorf("what was loaded by hand is not the state's:\n%s", out)
	}
	if out := mustExit(t, 0, "apply", "-f", exported); strings.Count(out, "  adopt  ") != 6 || strings.Contains(out, "replace") {
		t.Errorf("apply of the export:\n%s", out)
	}
	if now := asJSON(t, harness.Status(t, a.Name)) + asJSON(t, harness.Status(t, b.Name)); now != ids {
		t.Errorf("the chains are\n%s and were\n%s", now, ids)
	}
	mustExit(t, 0, "plan", "-f", exported)

	mustExit(t, 0, "unload", "-a", a.Name)
	mustExit(t, 0, "unload", "-a", b.Name)
	if err := os.RemoveAll(pins); err != nil {
		t.Fatal(err)
	}
	mustExit(t, 0, "apply", "-f", exported)
	for name, want := range before {
		if got := shape(harness.Status(t, name)); got != want {
			t.Errorf("%s runs %s, and ran %s", name, got, want)
		}
	}
	mustExit(t, 0, "apply", "-f", none)
}

// TestReplaceApplied: a program that takes the place of the state's is the state's by
// name, and the next apply says so.
func TestReplaceApplied(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	file := oneProgram(t, v, object(t, "xdp_pass"), "")
	mustExit(t, 0, "apply", "-f", file)
	mustExit(t, 0, "replace", v.Name, "--name", "xdp_pass", object(t, "xdp_drop"))
	if out := mustExit(t, 0, "export", v.Name); !strings.Contains(out, "name: a\n") || !strings.Contains(out, "/xdp_drop.o") {
		t.Errorf("export:\n%s", out)
	}
	if out := mustExit(t, 0, "apply", "-f", file); !strings.Contains(out, "replace  a  ") {
		t.Errorf("apply:\n%s", out)
	}
	settled(t, file)
	mustExit(t, 0, "apply", "-f", write(t, "none.yaml", "interfaces: [{name: "+v.Name+"}]"))
}

// TestRecordContents: a Go program's own contents of maps are exported too.
func TestRecordContents(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	tx := dispatcher.Transaction{BeforeSwap: desired.Record, Add: []xdp.Program{{File: object(t, "xdp_count"),
		Contents: []xdp.MapEntry{{Map: "packets", Key: make([]byte, 4), Value: []byte{9, 0, 0, 0, 0, 0, 0, 0}}}}}}
	if _, err := tx.Commit(t.Context(), v.Name); err != nil {
		t.Fatal(err)
	}
	exported := write(t, "export.yaml", mustExit(t, 0, "export", v.Name))
	if out := mustExit(t, 0, "apply", "-f", exported); !strings.Contains(out, "adopt  xdp_count") {
		t.Errorf("apply:\n%s", out)
	}
	mustExit(t, 0, "unload", "-a", v.Name)
	mustExit(t, 0, "apply", "-f", exported)
	if got := harness.CPUCounters(t, only(t, v))[0][0]; got != 9 {
		t.Errorf("the map holds %d, want 9", got)
	}
	mustExit(t, 0, "unload", "-a", v.Name)
}

// TestRecordsOfGone: records don't pile up, and one that can't be written keeps nothing
// from being loaded.
func TestRecordsOfGone(t *testing.T) {
	harness.NoLeak(t)
	if err := os.RemoveAll("/run/xdpmux"); err != nil { // other tests have left records there
		t.Fatal(err)
	}
	v := harness.NewVeth(t)
	for range 3 {
		mustExit(t, 0, "load", v.Name, object(t, "xdp_pass"))
		mustExit(t, 0, "unload", "-a", v.Name)
		harness.Snapshot(t) // the kernel frees programs a little later
	}
	mustExit(t, 0, "load", v.Name, object(t, "xdp_pass"))
	files, err := filepath.Glob("/run/xdpmux/*.json*")
	if err != nil || len(files) != 1 || files[0] != fmt.Sprintf("/run/xdpmux/%d.json", only(t, v)) {
		t.Errorf("records: %q, %v", files, err)
	}

	// A load looks at four records at most, its own included, however many there are.
	const more = 20
	for i := range more {
		gone := fmt.Sprintf("/run/xdpmux/%d.json", 1<<31+i)
		if err := os.WriteFile(gone, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	other := harness.NewVeth(t)
	mustExit(t, 0, "load", other.Name, object(t, "xdp_pass"))
	left, err := filepath.Glob("/run/xdpmux/*.json")
	if kept := len(left) - 2; err != nil || kept > more-1 || kept < more-4 {
		t.Errorf("of %d records of programs that are gone %d are left: %v", more, kept, err)
	}
	mustExit(t, 0, "unload", "-a", other.Name)
	info, err := os.Stat(files[0])
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}

	saved := "/run/xdpmux.saved"
	if err := os.Rename("/run/xdpmux", saved); err != nil {
		t.Fatal(err)
	}
	defer func() {
		os.Remove("/run/xdpmux")
		if err := os.Rename(saved, "/run/xdpmux"); err != nil {
			t.Fatal(err)
		}
	}()
	if err := os.WriteFile("/run/xdpmux", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, status := harness.Run(t, harness.Xdpmux(), "load", v.Name, object(t, "xdp_drop"))
	if status != 0 || !strings.HasPrefix(stderr, "xdpmux: warning: export will not know what is loaded now: ") {
		t.Errorf("exit status %d\n%s", status, stderr)
	}
	mustExit(t, 0, "unload", "-a", v.Name)
}

// TestMapSizes: who declares an object whose map has no size is told where to say it.
func TestMapSizes(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	unsized := object(t, "fixtures/unsized")
	_, stderr, status := harness.Run(t, harness.Xdpmux(), "apply", "-f", oneProgram(t, v, unsized, ""))
	if status != 1 || !strings.Contains(stderr, "  give it a size: map-sizes: {NAME: N} in the state file\n") {
		t.Errorf("exit status %d\n%s", status, stderr)
	}
	_, stderr, status = harness.Run(t, harness.Xdpmux(), "plan", "-f", oneProgram(t, v, unsized, ", map-sizes: {flow: 1}"))
	if status != 1 || !strings.Contains(stderr, "has no map \"flow\"\n  its maps: flows, events\n") {
		t.Errorf("exit status %d\n%s", status, stderr)
	}
	for i, size := range []string{"300", "301"} {
		out := mustExit(t, 0, "apply", "-f", oneProgram(t, v, unsized, ", map-sizes: {flows: "+size+"}"))
		if want := []string{"add  a", "replace  a"}[i]; !strings.Contains(out, want) {
			t.Errorf("apply:\n%s", out)
		}
		m, err := maps.Open(only(t, v), "flows")
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(m.MaxEntries) != size {
			t.Errorf("flows takes %d entries, want %s", m.MaxEntries, size)
		}
		m.Close()
	}
	mustExit(t, 0, "unload", "-a", v.Name)
}

// TestSharedByHand: a program that runs on several interfaces is the state's on that
// where it was adopted, and remains known on the other when it leaves that.
func TestSharedByHand(t *testing.T) {
	harness.NoLeak(t)
	a, b := harness.NewVeth(t), harness.NewVeth(t)
	mustExit(t, 0, "load", a.Name+","+b.Name, object(t, "xdp_pass"))
	file := write(t, "state.yaml", fmt.Sprintf("interfaces: [{name: %s, programs: [{name: a, object: %s}]}, {name: %s}]", a.Name, object(t, "xdp_pass"), b.Name))
	if out := mustExit(t, 0, "apply", "-f", file); strings.Count(out, "adopt") != 1 || strings.Contains(out, "remove") {
		t.Errorf("apply:\n%s", out)
	}
	mustExit(t, 0, "plan", "-f", file)
	mustExit(t, 0, "apply", "-f", write(t, "none.yaml", fmt.Sprintf("interfaces: [{name: %s}, {name: %s}]", a.Name, b.Name)))
	if got := text(harness.Status(t, a.Name)); got != "" {
		t.Errorf("%s runs %s", a.Name, got)
	}
	only(t, b)
	stdout, stderr, status := harness.Run(t, harness.Xdpmux(), "export", b.Name)
	if status != 0 || stderr != "" || !strings.Contains(stdout, "/xdp_pass.o") {
		t.Errorf("export: exit status %d\n%s%s", status, stdout, stderr)
	}
	mustExit(t, 0, "unload", "-a", b.Name)
}
