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
