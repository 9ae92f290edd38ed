package observe

import (
	"fmt"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/test/kernel"
)

// costs are what one run takes. Others share the processors, whose speed changes
// from one second to the next: of each cost the least counts, of measurements that
// take turns.
type costs struct{ empty, before, during, after time.Duration }

func (c *costs) each(length int) time.Duration { return (c.during - c.before) / time.Duration(length) }

// measure lowers least by what one run takes now.
func measure(t *testing.T, fd *libbpf.FD, least *time.Duration) {
	t.Helper()
	for range 3 {
		d := testRun(t, fd, packet(), 50_000).Duration
		if *least == 0 || d < *least {
			*least = d
		}
	}
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
	chain, empty := dispatcherOf(t, v), libbpf.NewFD(kernel.Program(t, kernel.Pass))
	var c costs
	good := func() bool {
		return c.after <= c.before*5/4 && (length > 1 || latency || c.each(length) <= 7*c.empty)
	}
	for round := 0; round == 0 || round < 12 && !good(); round++ {
		measure(t, empty, &c.empty)
		measure(t, chain, &c.before)
		o := open(t, observe.Options{Latency: latency}, v.Name)
		measure(t, chain, &c.during)
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
		measure(t, chain, &c.after)
	}
	t.Logf("figure: empty program %v, chain of %d %v, observed %v (latency %v), afterwards %v: %v a program, %.1f times an empty one",
		c.empty, length, c.before, c.during, latency, c.after, c.each(length), float64(c.each(length))/float64(c.empty))
	if !good() {
		t.Error("counting costs more than seven times an empty program, or the old cost is not back afterwards")
	}
}
