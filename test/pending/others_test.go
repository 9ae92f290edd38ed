package pending

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestOthers has xdp-loader change the chain while a change waits. Its changes stay; of ours is
// undone what is still there, in their chain. Programs keep their ids.
func TestOthers(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	nativeLoad := func(t *testing.T, args ...string) {
		harness.MustRun(t, native, append([]string{"load", v.Name, object(t)}, args...)...)
	}
	id := func(c *dispatcher.Chain, i int) string { return fmt.Sprint(c.Programs[i].ID) }
	for _, c := range []struct {
		name   string
		n      int // programs before
		ours   func(before *dispatcher.Chain) []string
		theirs func(t *testing.T, before, now *dispatcher.Chain)
		want   string // programs, the old ones as 0, 1, ... with their priorities
		says   string
	}{
		{"loaded beside", 2, func(*dispatcher.Chain) []string { return []string{"load", v.Name, object(t), "-n", "v_drop"} },
			func(t *testing.T, _, _ *dispatcher.Chain) { nativeLoad(t, "-n", "v_tx", "-P", "15") },
			"0@10 v_tx@15 1@20", "(v_drop) is removed"},
		{"removed before they loaded", 3, func(b *dispatcher.Chain) []string { return []string{"unload", v.Name, "-i", id(b, 1)} },
			func(t *testing.T, _, _ *dispatcher.Chain) { nativeLoad(t, "-n", "v_tx", "-P", "15") },
			"0@10 v_tx@15 1@20 2@30", "(v_pass) is back"},
		{"moved", 2, func(b *dispatcher.Chain) []string { return []string{"set", v.Name, "-i", id(b, 0), "-P", "90"} },
			func(t *testing.T, _, _ *dispatcher.Chain) { nativeLoad(t, "-n", "v_tx", "-P", "15") },
			"0@10 v_tx@15 1@20", "(v_pass) is as it was set before"},
		{"all gone", 2, func(*dispatcher.Chain) []string { return []string{"load", v.Name, object(t), "-n", "v_drop"} },
			func(t *testing.T, _, _ *dispatcher.Chain) { harness.MustRun(t, native, "unload", "-a", v.Name) },
			"", "nothing, as nothing of it was left"},
		{"emptied, and they loaded", 2, func(*dispatcher.Chain) []string { return []string{"unload", "-a", v.Name} },
			func(t *testing.T, _, _ *dispatcher.Chain) { nativeLoad(t, "-n", "v_tx", "-P", "15") },
			"0@10 v_tx@15 1@20", "(v_pass) is back"},
		{"replaced, and they removed that", 2, func(b *dispatcher.Chain) []string {
			return []string{"replace", v.Name, "-i", id(b, 0), object(t), "-n", "v_drop"}
		}, func(t *testing.T, _, now *dispatcher.Chain) {
			harness.MustRun(t, native, "unload", v.Name, "-i", id(now, 0))
		}, "0@10 1@20", "(v_pass) is back"},
		{"full by now", 10, func(b *dispatcher.Chain) []string { return []string{"unload", v.Name, "-i", id(b, 9)} },
			func(t *testing.T, _, _ *dispatcher.Chain) { nativeLoad(t, "-n", "v_tx", "-P", "5") },
			"v_tx@5 0@10 1@20 2@30 3@40 4@50 5@60 6@70 7@80 8@90", "could not come back: the chain that others have made is full"},
		{"lone by now", 1, func(*dispatcher.Chain) []string { return []string{"unload", "-a", v.Name} },
			func(t *testing.T, _, _ *dispatcher.Chain) {
				v.Attach(t, harness.Program(t, harness.Pass), harness.Native)
			},
			"lone", "which others have attached without a dispatcher, has the interface to itself"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := chain(t, v, c.n)
			run(t, 0, append(c.ours(before), "--confirm", "10m")...)
			c.theirs(t, before, status(t, v.Name))
			said := run(t, 0, "revert", v.Name)
			if !strings.Contains(said, v.Name+" was changed by others meanwhile") || !strings.Contains(said, c.says) {
				t.Errorf("it says:\n%s\nwant: %s", said, c.says)
			}
			if got := places(before, status(t, v.Name)); got != c.want {
				t.Errorf("the chain is %q, want %q", got, c.want)
			}
			checkEnded(t, v)
			must(t, detach(t, v))
		})
	}
}

// TestOthersUnbound takes a program that asks the driver for metadata out of a chain, and others
// make that chain anew, not bound to its device. The program comes back, and the chain is bound
// again; in skb mode it can't be.
func TestOthersUnbound(t *testing.T) {
	harness.NoLeak(t)
	if harness.KernelBefore(t, "6.3") {
		return
	}
	v := harness.NewVeth(t)
	for _, c := range []struct{ mode, want, says string }{
		{"native", "0@10 v_tx@15 1@20", "(ask_hash) is back"},
		{"skb", "v_tx@15 1@20", "(ask_hash) could not come back: it is bound to its device, for metadata, and the chain that others have made is in skb mode"},
	} {
		_, err := dispatcher.Transaction{Add: []xdp.Program{
			{File: harness.Fixture("metadata"), Name: "ask_hash", Priority: xdp.Prio(10)},
			{File: object(t), Name: "v_pass", Priority: xdp.Prio(20)},
		}}.Commit(t.Context(), v.Name)
		must(t, err)
		before := status(t, v.Name)
		run(t, 0, "unload", "-a", v.Name, "--confirm", "10m")
		harness.MustRun(t, native, "load", v.Name, "-m", c.mode, object(t), "-n", "v_tx", "-P", "15")
		if said := run(t, 0, "revert", v.Name); !strings.Contains(said, c.says) {
			t.Errorf("it says:\n%s\nwant: %s", said, c.says)
		}
		now := status(t, v.Name)
		if got := places(before, now); got != c.want || now.DeviceBound != (c.mode == "native") {
			t.Errorf("the chain is %q, bound: %t; want %q", got, now.DeviceBound, c.want)
		}
		checkEnded(t, v)
		must(t, detach(t, v))
	}
}

// places are the programs of a chain: those of the chain before by their number there, the
// others by their names.
func places(before, now *dispatcher.Chain) string {
	if now.Legacy != nil {
		return "lone"
	}
	old := map[uint32]string{}
	for i, p := range before.Programs {
		old[p.ID] = fmt.Sprint(i)
	}
	var all []string
	for _, p := range now.Programs {
		name := old[p.ID]
		if name == "" {
			name = p.Name
		}
		all = append(all, fmt.Sprintf("%s@%d", name, p.Priority))
	}
	return strings.Join(all, " ")
}

func detach(t *testing.T, v *harness.Veth) error {
	t.Helper()
	if status(t, v.Name).MainID() == 0 {
		return nil
	}
	return dispatcher.DetachAll(t.Context(), v.Name, dispatcher.DetachOptions{})
}

// TestOthersBesideLone has xdp-loader join the chain that has taken the place of a program
// without a dispatcher. That one can't come back.
func TestOthersBesideLone(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	v.Attach(t, harness.Lone(t, object(t), "v_pass", nil).FD(), harness.Native)
	before := status(t, v.Name)
	replace := []string{"replace", v.Name, "-i", fmt.Sprint(before.Legacy.ID), object(t), "-n", "v_drop", "--confirm", "10m"}
	run(t, 0, replace...)
	harness.MustRun(t, native, "load", v.Name, object(t), "-n", "v_tx")
	if said := run(t, 0, "revert"); !strings.Contains(said, "could not come back: it runs without a dispatcher, and others have programs there") {
		t.Errorf("it says:\n%s", said)
	}
	if got := harness.Programs(t, v); got != "v_tx" {
		t.Errorf("the chain is %q", got)
	}
	checkEnded(t, v)

	// Theirs is gone again: then it comes back.
	must(t, detach(t, v))
	v.Attach(t, harness.Lone(t, object(t), "v_pass", nil).FD(), harness.Native)
	before = status(t, v.Name)
	replace[3] = fmt.Sprint(before.Legacy.ID)
	run(t, 0, replace...)
	harness.MustRun(t, native, "load", v.Name, object(t), "-n", "v_tx")
	tx, err := status(t, v.Name).Find("v_tx")
	must(t, err)
	harness.MustRun(t, native, "unload", v.Name, "-i", fmt.Sprint(tx.ID))
	run(t, 0, "revert")
	if now := status(t, v.Name); !reflect.DeepEqual(now, before) {
		t.Errorf("%+v, was %+v", now, before)
	}
	checkEnded(t, v)
	must(t, detach(t, v))
}

// TestGone removes the interface of a change that waits.
func TestGone(t *testing.T) {
	harness.NoLeak(t)
	v, stays := harness.NewVeth(t), harness.NewVeth(t)
	chain(t, v, 2)
	before := chain(t, stays, 1)
	run(t, 0, "load", v.Name+","+stays.Name, object(t), "-n", "v_drop", "--confirm", "10m")
	v.Close(t)
	if said := run(t, 0, "revert", stays.Name); !strings.Contains(said, v.Name+" is gone, and what it had before with it") {
		t.Errorf("it says:\n%s", said)
	}
	if now := status(t, stays.Name); !reflect.DeepEqual(now, before) {
		t.Errorf("%+v, was %+v", now, before)
	}
	run(t, 0, "clean")
	checkEnded(t, stays)
	must(t, detach(t, stays))
}
