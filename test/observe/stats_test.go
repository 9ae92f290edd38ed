package observe

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
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
				harness.NoLeak(t)
				v := harness.NewVeth(t)
				stepsOn(t, v, length)
				last := length - 1
				verdictAt := func(at int, verdict xdp.Verdict) []byte {
					p := packet()
					p[at] = byte(verdict)
					return p
				}
				// What the last program of the chain says ends it in every case.
				mix := []struct {
					count   int
					at      int
					verdict xdp.Verdict
				}{
					{500_000, last, xdp.Pass},
					{200_000, 0, xdp.Drop},
					{100_000, last, xdp.TX},
					{99_999, last / 2, xdp.Aborted},
					{50_000, last, xdp.Redirect},
					{50_000, last, 200}, // no verdict
					{1, last, 34},       // XDP_PASS in its lowest five bits, which aren't all that matter
				}
				o := open(t, observe.Options{Latency: latency}, v.Name)
				defer o.Close()
				d := dispatcherOf(t, v)
				want := make([]observe.Counts, length)
				var final observe.Verdicts
				for _, m := range mix {
					testRun(t, v, d, verdictAt(m.at, m.verdict), m.count)
					n := uint64(m.count)
					for i := range m.at {
						want[i].Packets += n
						want[i].Verdicts[xdp.Pass] += n
						want[i].HandedOn += n
					}
					place := min(int(m.verdict), observe.Other)
					want[m.at].Packets += n
					want[m.at].Verdicts[place] += n
					want[m.at].Decided += n
					want[m.at].Final[place] += n
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

// The table has the counts of packets whose fate is known beforehand. A test of cmd holds how it
// is laid out.
func TestStatsTable(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 2)
	c := harness.Status(t, v.Name)
	d := dispatcherOf(t, v)
	p := harness.Start(t, xdpmux, "stats", v.Name, "--interval", "100ms")
	changing := regexp.MustCompile(`\d\d:\d\d:\d\d|\d+\.\d`)
	table := func() string {
		var table []string
		for line := p.Stdout.Line(t); line != ""; line = p.Stdout.Line(t) {
			table = append(table, changing.ReplaceAllString(strings.Join(strings.Fields(line), " "), "*"))
		}
		return strings.Join(table, "\n")
	}
	want := func(whole, first, second string) string {
		return fmt.Sprintf("%s at *\nPrio ID Program Packets Packets/s Handed on Decided\n%d xdp_dispatcher %s\n1 %d step0 %s\n2 %d step1 %s",
			v.Name, c.Dispatcher.ID, whole, c.Programs[0].ID, first, c.Programs[1].ID, second)
	}
	if got, want := table(), want("0 * 0 0", "0 * 0 0", "0 * 0 0"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	testRun(t, v, d, packet(xdp.Drop), 250)
	testRun(t, v, d, packet(xdp.Pass, xdp.TX), 50)
	testRun(t, v, d, packet(), 700)
	all := want("1000 * 0 1000\nXDP_DROP 250 *\nXDP_PASS 700 *\nXDP_TX 50 *", "1000 * 750 250\nXDP_DROP 250 *\nXDP_PASS 750 *", "750 * 0 750\nXDP_PASS 700 *\nXDP_TX 50 *")
	got := ""
	for range 50 { // the first may be of the time between
		if got = table(); got == all {
			break
		}
	}
	if got != all {
		t.Errorf("got\n%s\nwant\n%s", got, all)
	}
	p.Stop(t, exitSignal)
}
