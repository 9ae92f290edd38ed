package desired

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

// TestAdoptLone has a program without a dispatcher become what the state wants, in one swap,
// with its maps. Only who says --adopt has that.
func TestAdoptLone(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	fd := harness.Lone(t, object(t, "fixtures/adopt"), "keeps_all", nil).FD()
	v.Attach(t, fd, harness.Native)
	lone := harness.Status(t, v.Name).Legacy
	maps := harness.MapIDs(t, lone.ID)
	state := func(mode, lone string) string {
		return write(t, "state.yaml", fmt.Sprintf("interfaces: [{name: %s, mode: %s, programs: [{name: first, object: %s, priority: 5}, {name: old, %s, priority: 70}]}]",
			v.Name, mode, object(t, "xdp_pass"), lone))
	}
	same := "object: " + object(t, "fixtures/adopt") + ", program: keeps_all"
	file := state("native", same)

	before := harness.Snapshot(t)
	for _, c := range []struct {
		file string
		args []string
		says string
	}{
		{file, nil, "name its program in the file, and use --adopt"},
		{state("skb", same), []string{"--adopt"}, "is attached in native mode, and the file wants skb"},
		{state("native", "object: "+object(t, "xdp_drop")), []string{"--adopt"}, "attached without a dispatcher"},
	} {
		for _, command := range []string{"plan", "apply"} {
			stdout, stderr, exit := harness.Run(t, harness.Xdpmux(), append([]string{command, "-f", c.file}, c.args...)...)
			if exit != 1 || !strings.Contains(stderr, c.says) {
				t.Errorf("%s %v: exit status %d\n%s%s", command, c.args, exit, stdout, stderr)
			}
		}
	}
	file = state("native", same)
	if out := mustExit(t, 2, "plan", "-f", file, "--adopt"); !strings.Contains(out, "adopt  old") || !strings.Contains(out, "joins the chain with its maps") {
		t.Errorf("plan:\n%s", out)
	}
	before.Check(t)

	swaps := watchSwaps(t, v)
	mustExit(t, 0, "apply", "-f", file, "--adopt")
	if n := swaps.count(t); n != 1 {
		t.Errorf("%d swaps", n)
	}
	chain := harness.Status(t, v.Name)
	if got := text(chain); got != "5 xdp_pass XDP_PASS; 70 keeps_all XDP_PASS" {
		t.Fatalf("%s runs %s", v.Name, got)
	}
	if got := harness.MapIDs(t, chain.Programs[1].ID); !reflect.DeepEqual(got, maps) {
		t.Errorf("maps %v, before %v", got, maps)
	}
	settled(t, file)
	// It is the state's now, and goes with it.
	mustExit(t, 0, "apply", "-f", write(t, "none.yaml", "interfaces: [{name: "+v.Name+", programs: []}]"))
	if got := text(harness.Status(t, v.Name)); got != "" {
		t.Errorf("%s runs %s", v.Name, got)
	}

	// One of the same name, but with other constants, is replaced.
	v.Attach(t, fd, harness.Native)
	other := harness.EditSection(t, object(t, "fixtures/adopt"), ".rodata", func(b []byte) { b[0]++ })
	file = state("native", "object: "+other+", program: keeps_all")
	if out := mustExit(t, 0, "apply", "-f", file, "--adopt"); !strings.Contains(out, "replace  old") || !strings.Contains(out, "its constants (.rodata) are others") {
		t.Errorf("apply:\n%s", out)
	}
	chain = harness.Status(t, v.Name)
	if got := harness.MapIDs(t, chain.Programs[1].ID); len(got) != len(maps) || got[0] == maps[0] {
		t.Errorf("maps %v, before %v", got, maps)
	}
	settled(t, file)
	mustExit(t, 0, "unload", "-a", v.Name)
}
