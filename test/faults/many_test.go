package faults

import (
	"slices"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

func pairs(t *testing.T, n int) (all []*harness.Veth, names []string) {
	for range n {
		v := harness.NewVeth(t)
		all, names = append(all, v), append(names, v.Name)
	}
	return all, names
}

// The program is loaded once, and its map counts what all interfaces see.
func TestLoadOnMany(t *testing.T) {
	harness.NoLeak(t)
	all, names := pairs(t, 3)
	list := strings.Join(names, ",")
	harness.MustRun(t, ours(), "load", list, sample("xdp_count")+"@prio=3", sample("xdp_drop")+"@prio=9,actions=XDP_PASS+XDP_TX")
	first := status(t, names[0], 0)
	for i, v := range all {
		c := status(t, v.Name, 0)
		if !slices.Equal(c.Programs, first.Programs) || len(c.Programs) != 2 || c.Programs[0].Priority != 3 || c.Programs[1].Priority != 9 || c.Programs[1].Actions.String() != "XDP_PASS,XDP_TX" {
			t.Errorf("%s: %+v, and the first has %+v", v.Name, c.Programs, first.Programs)
		}
		if passed := v.Deliver(t, harness.UDP4(harness.Flow{}), harness.UDP4(harness.Flow{})); len(passed) != 0 {
			t.Errorf("%s passes", v.Name)
		}
		if got, want := counted(t, first.Programs[0].ID), 2*(i+1); got != want {
			t.Errorf("counted %d frames after %s, want %d", got, v.Name, want)
		}
	}
	// What native tools make of it.
	for _, name := range names {
		if ours, native := harness.MustRun(t, ours(), "status", name), harness.MustRun(t, "xdp-loader", "status", name); ours != native {
			t.Errorf("xdpmux:\n%s\nxdp-loader:\n%s", ours, native)
		}
	}
	harness.MustRun(t, ours(), "unload", "-i", fmtID(first.Programs[1].ID), list)
	if c := status(t, names[2], 0); len(c.Programs) != 1 || c.Programs[0] != first.Programs[0] {
		t.Errorf("after unload -i: %+v", c.Programs)
	}
	harness.MustRun(t, ours(), "unload", "-a", list)
}

// The third of five fails, and all are as they were.
func TestLoadOnManyFails(t *testing.T) {
	harness.NoLeak(t)
	all, names := pairs(t, 5)
	harness.MustRun(t, ours(), "load", names[1], pass)
	all[2].Attach(t, harness.Program(t, harness.Pass), harness.Native)
	list := strings.Join(names, ",")
	before := harness.MustRun(t, ours(), "status", names[0], names[2], names[3], names[4])
	_, stderr, exit := harness.Run(t, ours(), "load", list, sample("xdp_drop"))
	if exit != 1 || !strings.Contains(stderr, names[2]+" has program") {
		t.Errorf("exit status %d, %q", exit, stderr)
	}
	if after := harness.MustRun(t, ours(), "status", names[0], names[2], names[3], names[4]); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if c := status(t, names[1], 0); len(c.Programs) != 1 || c.Programs[0].Name != "xdp_pass" {
		t.Errorf("the chain that was there: %+v", c)
	}
	// All that can be unloaded is.
	_, stderr, exit = harness.Run(t, ours(), "unload", "-a", names[0]+","+names[1]+","+names[2])
	if exit != 1 || !strings.Contains(stderr, "no XDP program loaded on "+names[0]) || strings.Count(stderr, "xdpmux:") != 1 {
		t.Errorf("exit status %d, %q", exit, stderr)
	}
	for _, name := range names[:3] {
		if c := status(t, name, 0); c.Dispatcher != nil || c.Legacy != nil {
			t.Errorf("still on %s: %+v", name, c)
		}
	}
	// The third is refused by its driver, when two have their new chains already.
	harness.MustRun(t, ours(), "load", names[1], pass)
	t.Cleanup(func() { harness.MustRun(t, ours(), "unload", "-a", names[1]) })
	all[2].SetMTU(t, 9000)
	state, chain := harness.Snapshot(t), status(t, names[1], 0)
	_, stderr, exit = harness.Run(t, ours(), "load", list, sample("xdp_drop"))
	if exit != 1 || !strings.Contains(stderr, "the MTU of "+names[2]) {
		t.Errorf("exit status %d, %q", exit, stderr)
	}
	state.Check(t)
	if now := status(t, names[1], 0); now.Dispatcher.ID != chain.Dispatcher.ID {
		t.Errorf("the chain was %+v, and is %+v", chain, now)
	}
	if _, stderr, exit := harness.Run(t, ours(), "load", names[0]+","+names[0], pass); exit != 1 || !strings.Contains(stderr, "named twice") {
		t.Errorf("exit status %d, %q", exit, stderr)
	}
}
