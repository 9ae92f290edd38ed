package transaction

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestEveryStep has each system call of a change that concerns the kernel's state fail in turn.
// Then it kills the change at each of them. The chain is the old or the new one, as the exit
// status says. Nothing is left behind, but after a kill, or if the old chain's pins couldn't be
// removed; and that Clean removes.
func TestEveryStep(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	chance := harness.Chance(t)
	commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{fixture("verdicts", "v_drop"), fixture("flood", "guard")}})
	for _, fault := range []string{"error=ENOMEM", "signal=KILL"} {
		killed := fault == "signal=KILL"
		for _, call := range []string{"bpf", "sendto", "recvmsg", "mkdirat", "unlinkat", "flock", "recvmsg,recvfrom"} {
			step := 1
			if call == "bpf" {
				step = harness.Scaled(1, 12)
			}
			// From then on the kernel gives no answer: nobody knows what it has done.
			when, unclear := "%d", strings.Contains(call, ",")
			if unclear {
				when = "%d+"
			}
			met := false
			for n := 1 + chance.IntN(step); ; n += step {
				what := fmt.Sprintf("%s %d, %s", call, n, fault)
				before := status(t, v.Name)
				name, next := "guard", "behind"
				if names(before)[0] == next {
					name, next = next, name
				}
				exit, output, done := replaceWithFault(t, v.Name, name, next, fmt.Sprintf("%s:%s:when="+when, call, fault, n))
				after := status(t, v.Name)
				// strace counts the calls of each thread: the change and the look at what
				// became of it can both fail.
				unclear := unclear || strings.Contains(output, "can't tell whether the chain")
				changed := !reflect.DeepEqual(before, after)
				if changed && (len(after.Programs) != 2 || find(t, after, "v_drop") != find(t, before, "v_drop") || find(t, after, next) == 0) {
					t.Fatalf("%s: the chain is %+v\n%s", what, after.Programs, output)
				}
				if !killed && !unclear && changed != (exit == 0) {
					t.Fatalf("%s: exit status %d, the chain has changed: %t\n%s", what, exit, changed, output)
				}
				if killed || unclear || call == "unlinkat" || call == "flock" {
					if _, err := dispatcher.Clean(t.Context(), dispatcher.CleanOptions{}); err != nil {
						t.Fatal(err)
					}
				}
				if diff := wrongPins(t, v, after); diff != "" {
					t.Fatalf("%s: %s\n%s", what, diff, output)
				}
				if !done {
					break
				}
				met = true
			}
			if !met {
				t.Errorf("a change makes no call of %s", call)
			}
		}
	}
	unload(t, v.Name)
}

// TestStatusMeanwhile holds a status between its question for the interface's program and the
// opening of that, and swaps the chain meanwhile. The status has to show the new chain, not
// that there is none.
func TestStatusMeanwhile(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	pass := fixture("verdicts", "v_pass")
	id := commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{pass}}).Chain.Programs[0].ID
	p, _ := harness.StartStraced(t, []string{"-e", "trace=bpf", "-e", "inject=bpf:delay_enter=2s:when=1"}, harness.Xdpmux(), "status", v.Name)
	for n := uint32(0); ; n++ {
		select {
		case <-p.Ended():
			p.End(t, 0)
			if !strings.Contains(p.Stdout.String(), "v_pass") {
				t.Errorf("after %d swaps:\n%s", n, p.Stdout)
			}
			unload(t, v.Name)
			return
		default:
			commit(t, v.Name, dispatcher.Transaction{Mode: xdp.ModeUnspecified, Set: []dispatcher.Setting{{ID: id, Priority: &n}}})
		}
	}
}

// replaceWithFault replaces a program under strace(1), which makes the fault, and says
// whether the change got as far as that.
func replaceWithFault(t *testing.T, ifname, name, next, fault string) (exit int, output string, done bool) {
	t.Helper()
	calls, _, _ := strings.Cut(fault, ":")
	return underStrace(t, calls, []string{fault}, "replace", ifname, "--name", name, fixture("flood", "").File, "-n", next)
}

// underStrace runs a command under strace(1), which makes faults, and says whether it got
// as far as one.
func underStrace(t *testing.T, calls string, faults []string, args ...string) (exit int, output string, met bool) {
	t.Helper()
	exit, output, trace := harness.Strace(t, calls, faults, append([]string{harness.Xdpmux()}, args...)...)
	met = strings.Contains(trace, "(INJECTED)") || strings.Contains(trace, "killed by SIGKILL")
	return exit, output + trace, met
}
