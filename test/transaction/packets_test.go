package transaction

import (
	"fmt"
	"slices"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestPackets sends real frames through chains and compares what comes out with
// what the protocol promises for their order and chain call actions.
func TestPackets(t *testing.T) {
	const drop, pass, ipv6, count = "xdp_drop", "xdp_pass", "xdp_drop_ipv6", "xdp_count"
	at := func(file string, prio uint32, on ...xdp.Verdict) xdp.Program {
		p := xdp.Program{File: harness.Sample(file), Priority: xdp.Prio(prio)}
		if on != nil {
			p.Actions = xdp.On(on...)
		}
		return p
	}
	verdict := func(name string, prio uint32, on ...xdp.Verdict) xdp.Program {
		p := at("fixtures/verdicts", prio, on...)
		p.Name = name
		return p
	}
	ten := func(p xdp.Program) []xdp.Program { return slices.Repeat([]xdp.Program{p}, 10) }
	const frames = 20 // of each kind
	none := []uint64(nil)
	for _, c := range []struct {
		name     string
		programs []xdp.Program
		v4, v6   int      // how many of each kind pass
		counts   []uint64 // of the counting programs in the chain's order
	}{
		{"lone pass", []xdp.Program{at(pass, 50)}, frames, frames, none},
		{"lone drop", []xdp.Program{at(drop, 50)}, 0, 0, none},
		{"lone drop with drop among its actions", []xdp.Program{at(drop, 50, xdp.Drop)}, 0, 0, none},
		{"drop before pass", []xdp.Program{at(pass, 20), at(drop, 10)}, 0, 0, none},
		{"drop before count", []xdp.Program{at(drop, 10), at(count, 20)}, 0, 0, []uint64{0}},
		{"pass before drop", []xdp.Program{at(pass, 10), at(drop, 20)}, 0, 0, none},
		{"pass that ends the chain before drop", []xdp.Program{at(pass, 10, xdp.Drop), at(drop, 20)}, frames, frames, none},
		{"continue on drop", []xdp.Program{at(drop, 10, xdp.Drop), at(pass, 20)}, frames, frames, none},
		{"continue on drop only, to a count", []xdp.Program{at(ipv6, 10, xdp.Drop), at(count, 20)}, frames, frames, []uint64{frames}},
		{"filter of one kind", []xdp.Program{at(ipv6, 10), at(pass, 20)}, frames, 0, none},
		{"count before and behind a filter", []xdp.Program{at(count, 5), at(ipv6, 10), at(count, 20)}, frames, 0, []uint64{2 * frames, frames}},
		{"aborted ends the chain", []xdp.Program{verdict("v_aborted", 10), at(count, 20)}, 0, 0, []uint64{0}},
		{"continue on aborted", []xdp.Program{verdict("v_aborted", 10, xdp.Aborted), at(count, 20)}, frames, frames, []uint64{2 * frames}},
		{"continue on tx", []xdp.Program{verdict("v_tx", 10, xdp.TX), at(pass, 20)}, frames, frames, none},
		{"equal priorities", []xdp.Program{at(count, 50), at(pass, 50), at(count, 50)}, frames, frames, []uint64{2 * frames, 2 * frames}},
		{"ten programs", ten(at(count, 7)), frames, frames, slices.Repeat([]uint64{2 * frames}, 10)},
		{"drop as the tenth program", append(ten(at(count, 7))[:9], at(drop, 8)), 0, 0, slices.Repeat([]uint64{2 * frames}, 9)},
	} {
		for _, mode := range []xdp.Mode{xdp.ModeNative, xdp.ModeSKB} {
			t.Run(fmt.Sprintf("%s/%s", mode, c.name), func(t *testing.T) {
				harness.NoLeak(t)
				v := harness.NewVeth(t)
				_, err := dispatcher.Attach(t.Context(), v.Name, c.programs, dispatcher.AttachOptions{Mode: mode, RequireDispatcher: true})
				if err != nil {
					t.Fatal(err)
				}
				v4 := slices.Repeat([][]byte{harness.UDP4(harness.Flow{})}, frames)
				v6 := slices.Repeat([][]byte{harness.TCP6(harness.Flow{})}, frames)
				if got := len(v.Deliver(t, v4...)); got != c.v4 {
					t.Errorf("%d IPv4 frames passed, want %d", got, c.v4)
				}
				if got := len(v.Deliver(t, v6...)); got != c.v6 {
					t.Errorf("%d IPv6 frames passed, want %d", got, c.v6)
				}
				var counts []uint64
				for _, p := range status(t, v.Name).Programs {
					if p.Name == count {
						counts = append(counts, harness.Counters(t, p.ID)[0])
					}
				}
				if !slices.Equal(counts, c.counts) {
					t.Errorf("counted %v, want %v", counts, c.counts)
				}
				if err := dispatcher.DetachAll(t.Context(), v.Name, dispatcher.DetachOptions{}); err != nil {
					t.Error(err)
				}
				if got := len(v.Deliver(t, v4...)); got != frames {
					t.Errorf("%d frames passed after the unload, want %d", got, frames)
				}
			})
		}
	}
}
