package desired

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestBound applies a file with a program that asks the driver for metadata. No word of the file
// binds the chain to its device: the object asks. The plan says that it will, what is exported is
// the same file again, and each tool of ours shows the chain as it is.
func TestBound(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	asks := "{name: asks, object: " + object(t, "fixtures/metadata") + ", program: ask_hash, priority: 10}"
	file := write(t, "state.yaml", "interfaces: [{name: "+v.Name+", programs: [{name: counts, object: "+object(t, "xdp_count")+", priority: 20}, "+asks+"]}]")
	if harness.KernelBefore(t, "6.3") {
		if _, stderr, exit := harness.Run(t, harness.Xdpmux(), "plan", "-f", file); exit != 1 || !strings.Contains(stderr, "calls bpf_xdp_metadata_rx_hash, which this kernel doesn't have") {
			t.Errorf("exit status %d: %s", exit, stderr)
		}
		return
	}
	const binds = "binds the chain to its device"
	check := func(want bool, stdout string) {
		t.Helper()
		if strings.Contains(stdout, binds) != want {
			t.Errorf("%q in it: %t, want %t:\n%s", binds, !want, want, stdout)
		}
	}
	isBound := func() {
		t.Helper()
		if chain := harness.Status(t, v.Name); !chain.DeviceBound || harness.Programs(t, v) != "ask_hash xdp_count" {
			t.Errorf("bound: %t, %s", chain.DeviceBound, harness.Programs(t, v))
		}
	}

	// An ordinary chain is bound by the apply that brings the program.
	mustExit(t, 0, "load", v.Name, harness.Sample("xdp_pass"))
	check(true, mustExit(t, 2, "plan", "--prune", "-f", file))
	var plans []struct {
		Steps []struct {
			Name  string
			Binds bool
		}
	}
	if err := json.Unmarshal([]byte(mustExit(t, 2, "plan", "--json", "--prune", "-f", file)), &plans); err != nil {
		t.Fatal(err)
	}
	for _, s := range plans[0].Steps {
		if s.Binds != (s.Name == "asks") {
			t.Errorf("%+v", s)
		}
	}
	check(true, mustExit(t, 0, "apply", "--prune", "-f", file))
	isBound()
	check(false, mustExit(t, 0, "plan", "-f", file))

	// It comes back as it was exported.
	exported := write(t, "exported.yaml", mustExit(t, 0, "export", v.Name))
	mustExit(t, 0, "plan", "--prune", "-f", exported)
	mustExit(t, 0, "unload", "-a", v.Name)
	mustExit(t, 0, "apply", "-f", exported)
	isBound()
	mustExit(t, 0, "plan", "--prune", "-f", exported)
	mustExit(t, 0, "plan", "--prune", "-f", file)

	// One that is bound need not be bound again.
	more := write(t, "more.yaml", "interfaces: [{name: "+v.Name+", programs: [{name: more, object: "+object(t, "fixtures/metadata")+", program: ask_timestamp}]}]")
	check(false, mustExit(t, 2, "plan", "-f", more))

	// Loaded by hand, it is what the file wants.
	mustExit(t, 0, "unload", "-a", v.Name)
	mustExit(t, 0, "load", v.Name, object(t, "fixtures/metadata"), "-n", "ask_hash", "-P", "10")
	one := write(t, "one.yaml", "interfaces: [{name: "+v.Name+", programs: ["+asks+"]}]")
	if stdout := mustExit(t, 2, "plan", "-f", one); !strings.Contains(stdout, "it is what the file wants") {
		t.Error(stdout)
	}
	if err := dispatcher.DetachAll(t.Context(), v.Name, dispatcher.DetachOptions{}); err != nil {
		t.Fatal(err)
	}

	// In skb mode the plan refuses it already.
	inSKB := write(t, "skb.yaml", "interfaces: [{name: "+v.Name+", mode: skb, programs: ["+asks+"]}]")
	if _, stderr, exit := harness.Run(t, harness.Xdpmux(), "plan", "-f", inSKB); exit != 1 || !strings.Contains(stderr, "which only a program in native mode may") {
		t.Errorf("exit status %d: %s", exit, stderr)
	}
}
