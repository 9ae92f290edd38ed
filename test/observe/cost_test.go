package observe

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/test/harness"
)

// Costs are in runs of an empty program. When 7 was set as the limit, the barest counter took 5.6.
// If the kernel alone takes more, as 6.1 does from two programs on, the probes may add as much to
// that in proportion.
const (
	limit       = 7.
	limitBarest = limit / 5.6
)

// relative is what a run of the chain takes, in runs of the empty program. Others use the
// processors too, so their speed changes all the time. So both have several short runs in turn,
// and the fastest of each counts.
func relative(t *testing.T, v *harness.Veth, chain, empty *libbpf.FD, repeat int) float64 {
	t.Helper()
	runs := [2]time.Duration{math.MaxInt64, math.MaxInt64}
	for range 12 {
		runs[0] = min(runs[0], testRun(t, nil, empty, packet(), 20_000).Duration)
		runs[1] = min(runs[1], testRun(t, v, chain, packet(), repeat).Duration)
	}
	return float64(runs[1]) / float64(runs[0])
}

// countBarely attaches the barest counter to each program of a chain.
func countBarely(t *testing.T, v *harness.Veth) (stop func()) {
	t.Helper()
	var closes []func() error
	for _, p := range harness.Status(t, v.Name).Programs {
		f, err := attachBarest(t, p.Loaded)
		if err != nil {
			t.Fatal(err)
		}
		closes = append(closes, f)
	}
	return func() {
		for _, f := range closes {
			if err := f(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestCost(t *testing.T) {
	for _, length := range []int{1, 2, 10} {
		for _, latency := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d programs, latency %v", length, latency), func(t *testing.T) { testCost(t, length, latency) })
		}
	}
}

// Counting costs little, and nothing afterwards. A program gets another place in memory each time
// it is attached, and some places are slow to reach. So one round of a few has to show it.
func testCost(t *testing.T, length int, latency bool) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, length)
	chain, empty := dispatcherOf(t, v), libbpf.NewFD(harness.Program(t, harness.Pass))
	var wrong string
	for range 12 {
		before := relative(t, v, chain, empty, 20_000/length)
		each := func(cost float64, probes int) float64 { return (cost - before) / float64(probes) }
		stop := countBarely(t, v)
		barest := each(relative(t, v, chain, empty, 4000/length), length)
		stop()
		o := open(t, observe.Options{Latency: latency}, v.Name)
		probes := length
		if length > 1 {
			probes++ // the dispatcher's own
		}
		ours := each(relative(t, v, chain, empty, 4000/length), probes)
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
		after := relative(t, v, chain, empty, 20_000/length)
		figures := fmt.Sprintf("counting in a chain of %d (latency %v) costs %.1f times an empty program, for each probe; the barest counter %.1f; the chain %.1f before, %.1f afterwards",
			length, latency, ours, barest, before, after)
		switch {
		case after > before*5/4:
			wrong = "the old cost is not back afterwards: " + figures
		case latency || ours <= limitBarest*barest && (ours <= limit || length > 1 && limitBarest*barest > limit):
			t.Log("figure: " + figures)
			return
		default:
			wrong = fmt.Sprintf("more than %.2f times the barest counter, or %.0f times an empty program: %s", limitBarest, limit, figures)
		}
		t.Log(wrong)
	}
	t.Error(wrong)
}
