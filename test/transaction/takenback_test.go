package transaction

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// guarded are interfaces that run a guard. The last one's driver refuses a chain when the others
// have been swapped already.
func guarded(t *testing.T, n int) (all []*harness.Veth, names []string) {
	t.Helper()
	for range n {
		v := harness.NewVeth(t)
		commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{fixture("flood", "guard")}})
		all, names = append(all, v), append(names, v.Name)
	}
	refuses := harness.NewVeth(t)
	refuses.SetMTU(t, 9000)
	return all, append(names, refuses.Name)
}

// atLastSwap calls f before the last of n interfaces is swapped.
func atLastSwap(n int, f func()) dispatcher.AttachAllOptions {
	return dispatcher.AttachAllOptions{Progress: func(step dispatcher.Step, i int) {
		if step == dispatcher.StepSwap && i == n {
			f()
		}
	}}
}

func checkGuards(t *testing.T, all []*harness.Veth) {
	t.Helper()
	for _, v := range all {
		if passed := v.Deliver(t, padded(frame(marked)), padded(frame(plain))); len(passed) != 1 {
			t.Errorf("%s: %d of a good and a bad packet got past the guard", v.Name, len(passed))
		}
	}
}

// TestTakenBack has a load on several interfaces fail at the last one. Before that, both tools
// have cleaned away the pins of the chains that were there. These run as before all the same,
// with their pins.
func TestTakenBack(t *testing.T) {
	harness.NoLeak(t)
	all, names := guarded(t, 3)
	before := harness.Snapshot(t)
	opts := atLastSwap(len(all), func() {
		harness.MustRun(t, native, "clean")
		if removed := harness.MustRun(t, harness.Xdpmux(), "clean"); strings.Contains(removed, "dispatch-") {
			t.Logf("%s", removed)
		}
		for _, v := range all {
			if dirs, _ := filepath.Glob(fmt.Sprintf("/sys/fs/bpf/xdp/dispatch-%d-*", v.Index)); len(dirs) != 1 {
				t.Errorf("the old pins are still there: %q", dirs)
			}
		}
	})
	if _, err := dispatcher.AttachAll(t.Context(), names, []xdp.Program{fixture("flood", "front")}, opts); !errors.Is(err, xdp.ErrModeNotSupported) {
		t.Errorf("error: %v", err)
	}
	before.Check(t)
	for _, v := range all {
		bothShow(t, v.Name)
	}
	checkGuards(t, all)
	for _, v := range all {
		unload(t, v.Name)
	}
}

// TestNotTakenBack has such a load fail while nothing can be pinned. Then the new chains stay, in
// which the guards run too, and the error says which interfaces have them.
func TestNotTakenBack(t *testing.T) {
	harness.NoLeak(t)
	all, names := guarded(t, 2)
	opts := atLastSwap(len(all), func() {
		harness.MustRun(t, harness.Xdpmux(), "clean")
		must(t, unix.Mount("", "/sys/fs/bpf", "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	})
	_, err := dispatcher.AttachAll(t.Context(), names, []xdp.Program{fixture("flood", "front")}, opts)
	must(t, unix.Mount("", "/sys/fs/bpf", "", unix.MS_REMOUNT, ""))
	if !errors.Is(err, xdp.ErrSystem) || !strings.Contains(err.Error(), "read-only file system") {
		t.Errorf("error: %v", err)
	}
	for _, v := range all {
		front := find(t, status(t, v.Name), "front")
		if want := fmt.Sprintf("on %s it could not be taken back, and program %d stays there: ", v.Name, front); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error: %v\nwant %q", err, want)
		}
	}
	checkGuards(t, all)
	harness.MustRun(t, harness.Xdpmux(), "clean")
	for _, v := range all {
		bothShow(t, v.Name)
		unload(t, v.Name)
	}
}

var lookFailed = regexp.MustCompile(`recvfrom.*\(INJECTED\)`)

// TestAttachAllSteps has a load on two interfaces get no answer to its swaps, nor to one look at
// what became of them. Then it kills the load at each message to the kernel. The load is made on
// both or on none; after a kill the next load tells where the programs run.
func TestAttachAllSteps(t *testing.T) {
	harness.NoLeak(t)
	two := newTwo(t)
	// strace counts the calls of each thread, and Go chooses the threads: not every round has
	// the look fail that follows a swap.
	unanswered := 0
	for round := 0; unanswered == 0 && round < 10; round++ {
		for n := 1; ; n++ {
			faults := []string{"recvmsg:error=ENOMEM:when=1+", fmt.Sprintf("recvfrom:error=ENOMEM:when=%d", n)}
			exit, output, _ := underStrace(t, "recvmsg,recvfrom", faults, two.load...)
			if strings.Contains(output, "gave no answer") {
				unanswered++
			}
			if a, b := two.run("front"); a != (exit == 0) || b != (exit == 0) {
				t.Fatalf("%s: exit status %d, and it runs there: %t, %t\n%s", faults, exit, a, b, output)
			}
			two.tidy()
			if !lookFailed.MatchString(output) {
				break
			}
		}
	}
	if unanswered == 0 {
		t.Error("every load got an answer")
	}
	for n := 1; ; n++ {
		fault := fmt.Sprintf("sendto:signal=KILL:when=%d", n)
		_, _, met := underStrace(t, "sendto", []string{fault}, two.load...)
		harness.MustRun(t, harness.Xdpmux(), "clean")
		two.loadAgain(fault)
		if !met {
			break
		}
	}
	// Killed between the two for sure.
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		opts := atLastSwap(1, runtime.Goexit)
		_, err := dispatcher.AttachAll(context.Background(), []string{two.a.Name, two.b.Name}, []xdp.Program{fixture("flood", "front")}, opts)
		t.Errorf("it was not killed: %v", err)
	}()
	<-ended
	if a, b := two.run("front"); !a || b {
		t.Errorf("it runs there: %t, %t", a, b)
	}
	harness.MustRun(t, harness.Xdpmux(), "clean")
	two.loadAgain("killed between the swaps")
	unload(t, two.a.Name)
	unload(t, two.b.Name)
}

// two are interfaces with a guard each, and the arguments that load another program on both.
type two struct {
	*testing.T
	a, b   *harness.Veth
	guards [2]uint32
	load   []string
}

func newTwo(t *testing.T) *two {
	t.Helper()
	n := &two{T: t, a: harness.NewVeth(t), b: harness.NewVeth(t)}
	for i, v := range []*harness.Veth{n.a, n.b} {
		n.guards[i] = commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{fixture("flood", "guard")}}).Added[0].ID
	}
	n.load = []string{"load", n.a.Name + "," + n.b.Name, fixture("flood", "").File, "-n", "front"}
	return n
}

// run says on which of them a program runs.
func (n *two) run(name string) (a, b bool) {
	n.Helper()
	return has(status(n.T, n.a.Name), name), has(status(n.T, n.b.Name), name)
}

// loadAgain loads once more. If front ran on the first interface only, the load says so.
func (n *two) loadAgain(what string) {
	n.Helper()
	a, b := n.run("front")
	_, stderr, exit := harness.Run(n, harness.Xdpmux(), n.load...)
	says := strings.Contains(stderr, "warning: front runs on "+n.a.Name+" (program ") && strings.Contains(stderr, "and not on "+n.b.Name)
	if exit != 0 || says != (a && !b) {
		n.Errorf("%s: it ran there: %t, %t, and the next load, with exit status %d, says:\n%s", what, a, b, exit, stderr)
	}
	n.tidy()
}

// tidy leaves the guards alone there.
func (n *two) tidy() {
	n.Helper()
	for i, v := range []*harness.Veth{n.a, n.b} {
		var others []uint32
		for _, p := range status(n.T, v.Name).Programs {
			if p.ID != n.guards[i] {
				others = append(others, p.ID)
			}
		}
		if len(others) > 0 {
			commit(n.T, v.Name, dispatcher.Transaction{Mode: xdp.ModeUnspecified, Remove: others})
		}
		if chain := status(n.T, v.Name); len(chain.Programs) != 1 || chain.Programs[0].ID != n.guards[i] {
			n.Fatalf("the guard doesn't run alone on %s: %+v", v.Name, chain)
		}
	}
}

func has(c *dispatcher.Chain, name string) bool {
	for _, p := range c.Programs {
		if p.Name == name {
			return true
		}
	}
	return false
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
