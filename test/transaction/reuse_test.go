package transaction

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// reused is the index of an interface that goes while a command is about to change it, and
// of the next, which has another name.
const reused = 900

func newInterface(t *testing.T, name string) {
	t.Helper()
	harness.MustRun(t, "ip", "link", "add", name, "index", fmt.Sprint(reused), "type", "veth", "peer", "name", name+"peer")
	t.Cleanup(func() { harness.Run(t, "ip", "link", "del", name) }) // unless it has gone
}

// TestReusedIndex has commands wait for the lock. Meanwhile their interface goes, and another one
// gets its index. No command does to that what was meant for the first.
func TestReusedIndex(t *testing.T) {
	harness.NoLeak(t)
	object := fixture("verdicts", "").File
	bystander := harness.NewVeth(t)
	for _, c := range []struct {
		chain bool // the interface has one
		args  []string
	}{
		{false, []string{"load", "gone", object, "-n", "v_pass"}},
		{false, []string{"load", "gone," + bystander.Name, object, "-n", "v_pass"}},
		{false, []string{"run", "gone", harness.Sample("xdp_count")}},
		{true, []string{"load", "gone", object, "-n", "v_pass"}},
		{true, []string{"set", "gone", "--name", "v_drop", "-P", "7"}},
		{true, []string{"replace", "gone", "--name", "v_drop", object, "-n", "v_pass"}},
		{true, []string{"unload", "gone", "--name", "v_drop"}},
		{true, []string{"unload", "gone", "-a"}},
		{true, []string{"clean", "gone"}},
	} {
		t.Run(fmt.Sprintf("%q, a chain: %t", c.args, c.chain), func(t *testing.T) {
			newInterface(t, "gone")
			if c.chain {
				commit(t, "gone", dispatcher.Transaction{Add: []xdp.Program{fixture("verdicts", "v_drop")}})
			}
			_, release := holder(t)
			p := harness.Start(t, harness.Xdpmux(), c.args...)
			harness.WaitForLock(t, p.PID())
			harness.MustRun(t, "ip", "link", "del", "gone")
			newInterface(t, "other")
			release()
			p.End(t, 1)
			if want := fmt.Sprintf("xdpmux: interface \"gone\" is gone: its index %d is now that of \"other\"\n", reused); !strings.Contains(p.Stderr.String(), want) {
				t.Errorf("%s\nwant: %s", p.Stderr, want)
			}
			for _, name := range []string{"other", bystander.Name} {
				if chain := status(t, name); chain.Dispatcher != nil || chain.Legacy != nil {
					t.Errorf("%s has %+v", name, chain)
				}
			}
			_, err := dispatcher.Clean(t.Context(), dispatcher.CleanOptions{})
			must(t, err)
		})
	}
}

// TestReusedBetweenCalls holds a load at each message that it sends to the kernel while its pins
// are there, and gives its interface's index to another one. One of these moments is between
// the last look at the name and the swap.
func TestReusedBetweenCalls(t *testing.T) {
	harness.NoLeak(t)
	object := fixture("verdicts", "").File
	noticed := 0
	for delay := aMoment; noticed == 0 && delay < time.Minute; delay *= 4 {
		for n := 1; n <= 5; n++ { // of each thread
			newInterface(t, "gone")
			p := startDelayed(t, n, delay, harness.Xdpmux(), "load", "gone", object, "-n", "v_pass")
			pinned := func() bool { return len(glob(t, fmt.Sprintf("/sys/fs/bpf/xdp/dispatch-%d-*", reused))) > 0 }
			held := p.await(t)
			for held && !pinned() {
				held = p.await(t)
			}
			if held {
				harness.MustRun(t, "ip", "link", "del", "gone")
				newInterface(t, "other")
				exit := p.Wait(t) // 0 if it was loaded before
				if chain := status(t, "other"); chain.Dispatcher != nil || chain.Legacy != nil {
					t.Errorf("message %d: exit status %d, and the other interface has %+v\n%s", n, exit, chain, p.Stderr)
				}
				if strings.Contains(p.Stderr.String(), `is now that of "other"`) {
					noticed++
				}
				harness.MustRun(t, "ip", "link", "del", "other")
			} else {
				p.End(t, 0)
				harness.MustRun(t, "ip", "link", "del", "gone")
			}
			_, err := dispatcher.Clean(t.Context(), dispatcher.CleanOptions{})
			must(t, err)
		}
	}
	if noticed == 0 {
		t.Error("no load noticed the other interface")
	}
}
