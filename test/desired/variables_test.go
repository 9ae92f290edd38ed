package desired

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestVariables has the verdict come from variables of each section, which the state gives their
// values. It is exported, bundled and undone with them, also where it was loaded by hand.
func TestVariables(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	// Byte 0 says from which variable: .data (with 100 added), .bss, .rodata.
	packets := [][]byte{{8}, {9}, {10}}
	for i := range packets {
		packets[i] = append(packets[i], make([]byte, 63)...)
	}
	passed := func(what string, want int) {
		t.Helper()
		if n := len(v.Deliver(t, packets...)); n != want {
			t.Errorf("%s: %d packets passed, want %d", what, n, want)
		}
	}
	policy := object(t, "fixtures/policy")
	drops := oneProgram(t, v, policy, `, variables: {in_data: 101, in_bss: "01 00 00 00", in_rodata: 0x1}`)
	mustExit(t, 0, "apply", "-f", drops)
	settled(t, drops)
	passed("all drop", 0)

	exported := write(t, "exported.yaml", mustExit(t, 0, "export", v.Name))
	settled(t, exported)
	bundle := filepath.Join(t.TempDir(), "bundle")
	mustExit(t, 0, "export", "--bundle", bundle, v.Name)

	passes := oneProgram(t, v, policy, ", variables: {in_data: 102, in_bss: 2, in_rodata: 1}")
	if out := mustExit(t, 2, "plan", "-f", passes); !strings.Contains(out, "variables") {
		t.Errorf("plan:\n%s", out)
	}
	mustExit(t, 0, "apply", "-f", passes)
	settled(t, passes)
	passed("all but one pass", 2)
	mustExit(t, 0, "undo", v.Name)
	passed("undone", 0)
	mustExit(t, 0, "unload", "-a", v.Name)
	mustExit(t, 0, "apply", "-f", bundle)
	passed("bundled", 0)
	mustExit(t, 0, "unload", "-a", v.Name)

	_, err := dispatcher.Attach(t.Context(), v.Name, []xdp.Program{{File: policy, Name: "policy",
		Variables: map[string]any{"in_data": 101, "in_bss": uint32(1), "in_rodata": [4]byte{1}}}}, dispatcher.AttachOptions{BeforeSwap: desired.Record})
	if err != nil {
		t.Fatal(err)
	}
	passed("by hand", 0)
	state, strangers, err := desired.Export(t.Context(), v.Name)
	if err != nil || len(strangers) > 0 {
		t.Fatal(strangers, err)
	}
	file, err := state.YAML()
	if err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(t.TempDir(), "again.yaml")
	if err := os.WriteFile(again, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := mustExit(t, 0, "apply", "-f", again); !strings.Contains(out, "adopt") {
		t.Errorf("apply:\n%s%s", out, file)
	}
	mustExit(t, 0, "unload", "-a", v.Name)
}
