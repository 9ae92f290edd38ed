package observe

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// What a program that is called decides counts for the component program that calls it.
func TestTailCalls(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	attach(t, v, xdp.Program{File: harness.Fixture("tailcall"), Priority: xdp.Prio(0)}, step(1, xdp.Pass))
	// The first byte is the slot: 0 is XDP_PASS, which step1 follows, and 1 XDP_DROP.
	called := func(slot, second byte) []byte { return append([]byte{slot, second}, make([]byte, 62)...) }
	frames := [][]byte{called(1, 0), called(0, byte(xdp.Pass)), called(0, byte(xdp.Drop)), called(1, 0)}
	t.Cleanup(func() {
		if err := dispatcher.DetachAll(context.Background(), v.Name, dispatcher.DetachOptions{}); err != nil {
			t.Error(err)
		}
	})
	o := open(t, observe.Options{}, v.Name)
	defer o.Close()
	l := live(t, v, observe.LiveOptions{})
	defer l.Close()
	v.Deliver(t, frames...)
	decided := map[string]uint64{}
	for _, p := range o.Read().Chains[0].Programs[1:] {
		decided[p.Name] = p.Decided
	}
	const want = "map[step1:2 t_entry:2]"
	if got := fmt.Sprint(decided); got != want {
		t.Errorf("stats: decided %s, want %s", got, want)
	}
	by := map[string]int{}
	for _, line := range next(t, l) {
		by[strings.TrimSuffix(strings.Fields(line)[2], ",")]++
	}
	if got := fmt.Sprint(by); got != want {
		t.Errorf("trace --live: decided %s, want %s", got, want)
	}
	r, err := observe.OpenReplay(t.Context(), v.Name, observe.AtChain)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i, want := range []xdp.Verdict{xdp.Drop, xdp.Pass, xdp.Drop, xdp.Drop} {
		trace, err := r.Run(frames[i])
		if err != nil {
			t.Fatal(err)
		}
		if trace.Verdict != want {
			t.Errorf("packet %d: %v, want %v", i, trace.Verdict, want)
		}
	}
}
