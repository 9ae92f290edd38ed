package observe

import (
	"fmt"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/test/kernel"
)

// cost is what one run takes: the least of several means, as others share the
// processors.
func cost(t *testing.T, fd *libbpf.FD) time.Duration {
	t.Helper()
	least := time.Hour
	for range 7 {
		least = min(least, testRun(t, fd, packet(), 50_000).Duration)
	}
	return least
}

// Counting costs at most seven times an empty program, and nothing afterwards. The
// limit holds for a lone program, as the barest counter was measured: in a chain of
// ten, an emulated processor takes longer to find its way through the trampolines,
// and then even a probe that does nothing takes more than seven times.
func TestCost(t *testing.T) {
	for _, length := range []int{1, 2, 10} {
		for _, latency := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d programs, latency %v", length, latency), func(t *testing.T) { testCost(t, length, latency) })
		}
	}
}

func testCost(t *testing.T, length int, latency bool) {
	kernel.NoLeak(t)
	v := kernel.NewVeth(t)
	stepsOn(t, v, length)
	d := dispatcherOf(t, v)
	empty := cost(t, libbpf.NewFD(kernel.Program(t, kernel.Pass)))
	before := cost(t, d)
	o := open(t, observe.Options{Latency: latency}, v.Name)
	during := cost(t, d)
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	// The least of some tries: others share the machine, and the kernel frees the
	// trampolines a little later.
	after := cost(t, d)
	for try := 0; try < 10 && after > before*5/4; try++ {
		after = min(after, cost(t, d))
	}
	each := (during - before) / time.Duration(length)
	t.Logf("figure: empty program %v, chain of %d %v, observed %v (latency %v), afterwards %v: %v a program, %.1f times an empty one",
		empty, length, before, during, latency, after, each, float64(each)/float64(empty))
	if length == 1 && !latency && each > 7*empty {
		t.Errorf("counting costs %v a packet and program, more than seven times %v", each, empty)
	}
	if after > before*5/4 {
		t.Errorf("the chain takes %v after the observation, and took %v before", after, before)
	}
}
