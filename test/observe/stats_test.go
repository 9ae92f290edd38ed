package observe

import (
	"context"
	"fmt"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/test/kernel"
)

func open(t testing.TB, opts observe.Options, ifnames ...string) *observe.Observer {
	t.Helper()
	o, err := observe.Open(context.Background(), ifnames, opts)
	if err != nil {
		t.Fatalf("observe: %v (%s)", err, dispatcher.VerifierLog(err))
	}
	return o
}

// A million packets whose fate is known beforehand, in chains of one, two and ten.
func TestExact(t *testing.T) {
	for _, length := range []int{1, 2, 10} {
		for _, latency := range []bool{false, true} {
			if latency && length == 10 {
				continue // as slow as it is like two
			}
			t.Run(fmt.Sprintf("%d programs, latency %v", length, latency), func(t *testing.T) {
				kernel.NoLeak(t)
				v := kernel.NewVeth(t)
				stepsOn(t, v, length)
				last := length - 1
				verdictAt := func(at int, verdict dispatcher.Verdict) []byte {
					p := packet()
					p[at] = byte(verdict)
					return p
				}
				// What the last program of the chain says ends it in every case.
				mix := []struct {
					count   int
					at      int
					verdict dispatcher.Verdict
				}{
					{500_000, last, dispatcher.Pass},
					{200_000, 0, dispatcher.Drop},
					{100_000, last, dispatcher.TX},
					{99_999, last / 2, dispatcher.Aborted},
					{50_000, last, dispatcher.Redirect},
					{50_000, last, 200}, // no verdict, and not PASS in its lowest five bits
					{1, last, 34},       // no verdict, and the dispatcher takes it for XDP_PASS
				}
				o := open(t, observe.Options{Latency: latency}, v.Name)
				defer o.Close()
				d := dispatcherOf(t, v)
				want := make([]observe.Counts, length)
				var final observe.Verdicts
				for _, m := range mix {
					testRun(t, d, verdictAt(m.at, m.verdict), m.count)
					n := uint64(m.count)
					for i := range m.at {
						want[i].Packets += n
						want[i].Verdicts[dispatcher.Pass] += n
						want[i].HandedOn += n
					}
					place := min(int(m.verdict), observe.Other)
					want[m.at].Packets += n
					want[m.at].Verdicts[place] += n
					if m.verdict == 34 && length > 1 {
						want[m.at].HandedOn += n
						final[dispatcher.Pass] += n
						continue
					}
					want[m.at].Decided += n
					final[place] += n
				}
				programs := o.Read().Chains[0].Programs
				if len(programs) != length+1 {
					t.Fatalf("%d rows, want %d: %+v", len(programs), length+1, programs)
				}
				if got := programs[0]; got.Packets != 1_000_000 || got.Verdicts != final || got.Missed != 0 || got.Blind != nil {
					t.Errorf("dispatcher: got %d packets %v, missed %d, blind %v, want 1000000 %v", got.Packets, got.Verdicts, got.Missed, got.Blind, final)
				}
				for i, want := range want {
					got := programs[i+1]
					if got.Name != fmt.Sprint("step", i) || got.Counts != want {
						t.Errorf("program %d: got %s %+v, want %+v", i, got.Name, got.Counts, want)
					}
					if latency && (got.Times.Packets != want.Packets || got.Times.Mean() <= 0 || got.Times.Quantile(.5) > got.Times.Quantile(.99) || got.Times.Quantile(.99) > got.Times.Max) {
						t.Errorf("program %d: time of %d packets, mean %v, p50 %v, p99 %v, max %v", i, got.Times.Packets, got.Times.Mean(), got.Times.Quantile(.5), got.Times.Quantile(.99), got.Times.Max)
					}
				}
			})
		}
	}
}
