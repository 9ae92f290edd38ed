package desired

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

// applyKilled applies a file and is killed at the nth of these calls of the system, by
// whatever thread. done says that there are fewer.
func applyKilled(t *testing.T, file, call string, n int) (done bool) {
	t.Helper()
	_, _, trace := harness.Strace(t, call, []string{fmt.Sprintf("%s:signal=KILL:when=%d", call, n)}, harness.Xdpmux(), "apply", "-f", file)
	return !strings.Contains(trace, "+++ killed by SIGKILL +++")
}

// steps are the moments at which an apply is killed: some of the calls that make, attach,
// record and remove, and how many calls lie between two of them.
var steps = map[string]int{"bpf": harness.Scaled(5, 60), "mkdirat": 1, "sendto": harness.Scaled(1, 4), "unlinkat": harness.Scaled(1, 5), "renameat": 1}

// TestKilled: an apply that was killed, at whatever moment, knows its own programs
// afterwards, and the next one removes what it has left.
func TestKilled(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	chance := harness.Chance(t)
	none := write(t, "none.yaml", "interfaces: [{name: "+v.Name+"}]")
	state := func(value int) string {
		return write(t, "state.yaml", fmt.Sprintf("interfaces: [{name: %s, programs: [{name: a, object: %s}, {name: b, object: %s, maps: {packets: [{key: 0, value: %d}]}}]}]",
			v.Name, object(t, "xdp_pass"), object(t, "xdp_count"), value))
	}
	mustExit(t, 0, "apply", "-f", state(1))
	kills := 0
	for call, stride := range steps {
		for n, done := 1+chance.IntN(stride), false; !done; n += stride {
			done = applyKilled(t, state(kills+2), call, n)
			kills++
			what := fmt.Sprintf("killed at %s %d", call, n)
			if plan := mustExit(t, 2, "plan", "-f", none); strings.Count(plan, "  remove  ") != 2 {
				t.Errorf("%s: not all programs are known:\n%s", what, plan)
			}
			if got := text(harness.Status(t, v.Name)); got != "5 xdp_count XDP_ABORTED,XDP_DROP,XDP_PASS,XDP_TX,XDP_REDIRECT; 50 xdp_pass XDP_PASS" {
				t.Fatalf("%s: %s runs", what, got)
			}
		}
	}
	t.Logf("%d kills", kills)
	mustExit(t, 0, "apply", "-f", none)
	for _, pattern := range []string{fmt.Sprintf("/sys/fs/bpf/xdp/dispatch-%d-*", v.Index), "/run/xdpmux/swap*"} {
		if left, err := filepath.Glob(pattern); err != nil || len(left) > 0 {
			t.Errorf("%q, %v", left, err)
		}
	}
}

// TestKilledWithPins: the pinned maps that an apply which was killed has left hold what the
// file says, or go with the next apply.
func TestKilledWithPins(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	chance := harness.Chance(t)
	pins := "/sys/fs/bpf/xm-killed"
	t.Cleanup(func() { os.RemoveAll(pins) })
	none := write(t, "none.yaml", "interfaces: [{name: "+v.Name+"}]")
	file := write(t, "state.yaml", fmt.Sprintf("interfaces: [{name: %s, programs: [{name: p, object: %s, section: xdp/good, pin-path: %s, maps: {pinned_packets: [{key: 0, value: 1000}]}}]}]",
		v.Name, object(t, "fixtures/pinned"), pins))
	outcomes := map[string]int{}
	for call, stride := range steps {
		for n, done := 1+chance.IntN(stride), false; !done; n += stride {
			done = applyKilled(t, file, call, n)
			what := fmt.Sprintf("killed at %s %d", call, n)
			runs := len(harness.Status(t, v.Name).Programs) == 1
			outcomes[fmt.Sprintf("runs: %v", runs)]++
			if chance.IntN(2) == 0 { // the pin that is left is used, or the program is
				mustExit(t, 0, "apply", "-f", file)
				if got := harness.CPUCounters(t, harness.Status(t, v.Name).Programs[0].ID)[0]; len(got) != 1 || got[0] != 1000 {
					t.Fatalf("%s: the map holds %d", what, got)
				}
				runs = true
			}
			mustExit(t, 0, "apply", "-f", none)
			if _, err := os.Stat(pins); !runs && err == nil {
				t.Errorf("%s: %s is left", what, pins)
			}
			if err := os.RemoveAll(pins); err != nil { // a pin outlives its program
				t.Fatal(err)
			}
		}
	}
	t.Logf("after the kill: %v", outcomes)
}
