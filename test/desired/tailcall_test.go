package desired

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestTailCalls applies a file whose program calls others. A plan sees that one of these has
// changed, which the program itself doesn't show.
func TestTailCalls(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	dir := t.TempDir()
	copied := filepath.Join(dir, "tailcall.o")
	data, err := os.ReadFile(object(t, "fixtures/tailcall"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, data, 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "state.yaml")
	if err := os.WriteFile(file, []byte("interfaces: [{name: "+v.Name+", programs: [{name: calls, object: tailcall.o}]}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	drops := append([]byte{1}, make([]byte, 63)...) // slot 1 calls t_drop
	mustExit(t, 0, "apply", "-f", file)
	mustExit(t, 0, "plan", "-f", file)
	if passed := v.Deliver(t, drops); len(passed) != 0 {
		t.Error("t_drop isn't called")
	}

	changed := harness.EditSection(t, copied, "xdp", func(code []byte) {
		copy(code, bytes.Replace(code, []byte{0xb7, 0, 0, 0, 1, 0, 0, 0}, []byte{0xb7, 0, 0, 0, 2, 0, 0, 0}, 1)) // r0 = XDP_PASS instead of XDP_DROP
	})
	if err := os.Rename(changed, copied); err != nil {
		t.Fatal(err)
	}
	mustExit(t, 2, "plan", "-f", file)
	mustExit(t, 0, "apply", "-f", file)
	mustExit(t, 0, "plan", "-f", file)
	if passed := v.Deliver(t, drops); len(passed) != 1 {
		t.Error("the changed t_drop isn't called")
	}
	mustExit(t, 0, "apply", "-f", write(t, "empty.yaml", "interfaces: [{name: "+v.Name+"}]"))

	// Of a program that nobody has recorded, the kernel is asked.
	for object, want := range map[string]string{copied: "it is what the file wants", harness.Fixture("tailcall"): "its map calls holds other programs"} {
		if _, err := dispatcher.Attach(t.Context(), v.Name, []xdp.Program{{File: object}}, dispatcher.AttachOptions{}); err != nil {
			t.Fatal(err)
		}
		if stdout := mustExit(t, 2, "plan", "--adopt", "-f", file); !strings.Contains(stdout, want) {
			t.Errorf("%s: no %q in:\n%s", object, want, stdout)
		}
		mustExit(t, 0, "unload", "-a", v.Name)
	}
}

// TestTailCallsOfState has a state fill arrays, with a program of another file too. It is exported
// as it was asked for, and a change of that file is seen.
func TestTailCallsOfState(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	dir := t.TempDir()
	other := filepath.Join(dir, "other.o")
	data, err := os.ReadFile(object(t, "xdp_drop"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, data, 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "state.yaml")
	text := "interfaces: [{name: " + v.Name + ", programs: [{name: calls, object: " + object(t, "fixtures/tailcall") +
		", tail-calls: {calls: [{slot: 3, object: other.o}, {slot: 5, program: t_pass}]}}]}]"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	slot := func(n byte) []byte { return append([]byte{n}, make([]byte, 63)...) }
	passed := func() int { return len(v.Deliver(t, slot(3), slot(5))) }
	mustExit(t, 0, "apply", "-f", file)
	mustExit(t, 0, "plan", "-f", file)
	if n := passed(); n != 1 {
		t.Errorf("%d packets passed, want that of slot 5", n)
	}
	exported := write(t, "exported.yaml", mustExit(t, 0, "export", v.Name))
	mustExit(t, 0, "plan", "-f", exported)
	mustExit(t, 0, "unload", "-a", v.Name)
	mustExit(t, 0, "apply", "-f", exported)
	if n := passed(); n != 1 {
		t.Errorf("as exported: %d packets passed, want that of slot 5", n)
	}

	// A bundle has the other file too, and so has an undo.
	bundle := filepath.Join(dir, "bundle")
	mustExit(t, 0, "export", "--bundle", bundle, v.Name)
	if err := os.Rename(other, other+".away"); err != nil {
		t.Fatal(err)
	}
	mustExit(t, 0, "unload", "-a", v.Name)
	mustExit(t, 0, "undo", v.Name)
	if n := passed(); n != 1 {
		t.Errorf("after an undo: %d packets passed, want that of slot 5", n)
	}
	mustExit(t, 0, "unload", "-a", v.Name)
	mustExit(t, 0, "apply", "-f", filepath.Join(bundle, "state.yaml"))
	if n := passed(); n != 1 {
		t.Errorf("as bundled: %d packets passed, want that of slot 5", n)
	}
	if data, err = os.ReadFile(object(t, "xdp_pass")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if stdout := mustExit(t, 2, "plan", "-f", file); !strings.Contains(stdout, "or tail calls have changed") {
		t.Error(stdout)
	}
	mustExit(t, 0, "apply", "-f", file)
	if n := passed(); n != 2 {
		t.Errorf("after the change: %d packets passed, want both", n)
	}
	mustExit(t, 0, "apply", "-f", write(t, "empty.yaml", "interfaces: [{name: "+v.Name+"}]"))
}
