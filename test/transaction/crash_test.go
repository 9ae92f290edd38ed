package transaction

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestCrash kills changes at random moments, while both tools clean. The chain is then the
// old or the new one, it works, and Clean brings the pins back to exactly what runs.
func TestCrash(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	chance := harness.Chance(t)
	object := fixture("verdicts", "").File
	load := func(name string) []string { return []string{"load", v.Name, object, "-n", name} }
	for _, name := range []string{"v_pass", "v_pass_frags"} {
		harness.MustRun(t, harness.Xdpmux(), load(name)...)
	}
	defer cleaning(t, harness.Xdpmux(), native)()
	// How long a change takes here, so that the moments are spread over all of it.
	start := time.Now()
	harness.MustRun(t, harness.Xdpmux(), "set", v.Name, "--name", "v_pass", "-P", "7")
	whole := time.Since(start)

	outcomes := map[string]int{}
	for i := range harness.Scaled(200, 10) {
		before := status(t, v.Name)
		args := load("v_drop")
		if slices.Contains(names(before), "v_drop") {
			args = [][]string{
				{"replace", v.Name, "--name", "v_drop", object, "-n", "v_tx"},
				{"unload", v.Name, "-i", fmt.Sprint(find(t, before, "v_drop"))},
				{"upgrade", v.Name, "--to", fmt.Sprint(5 - before.Version)},
			}[chance.IntN(3)]
		} else if slices.Contains(names(before), "v_tx") {
			args = []string{"replace", v.Name, "--name", "v_tx", object, "-n", "v_drop"}
		}
		p := harness.Start(t, harness.Xdpmux(), args...)
		time.Sleep(time.Duration(chance.Int64N(2 * int64(whole)))) // the moment, not a wait
		p.Signal(t, os.Kill)
		p.Wait(t)
		after := status(t, v.Name)
		outcome := "new"
		if reflect.DeepEqual(before, after) {
			outcome = "old"
		} else if !expected(before, after, args) {
			t.Fatalf("kill %d of %q: from %+v to %+v", i, args, before.Programs, after.Programs)
		}
		if diff := wrongPins(t, v, after); diff != "" {
			outcome += ", with pins left"
		}
		outcomes[outcome]++
		if _, err := dispatcher.Clean(t.Context(), dispatcher.CleanOptions{}); err != nil {
			t.Fatal(err)
		}
		checkPins(t, v)
	}
	t.Logf("a change takes %v; chains after the kill: %v", whole, outcomes)
	unload(t, v.Name)
	checkPins(t, v)
}

// TestInterrupt asks changes to end at random moments, while both tools clean. Each is made or
// isn't, as its exit status says, and leaves nothing behind.
func TestInterrupt(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	chance := harness.Chance(t)
	commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{fixture("verdicts", "v_pass"), fixture("verdicts", "v_drop")}})
	replace := func(name, next string) *harness.Process {
		return harness.Start(t, harness.Xdpmux(), "replace", v.Name, "--name", name, fixture("verdicts", "").File, "-n", next)
	}
	defer cleaning(t, harness.Xdpmux(), native)()
	start := time.Now()
	replace("v_drop", "v_tx").End(t, 0)
	whole := time.Since(start)
	outcomes := map[bool]int{}
	for range harness.Scaled(100, 8) {
		before := status(t, v.Name)
		name, next := "v_drop", "v_tx"
		if slices.Contains(names(before), next) {
			name, next = next, name
		}
		p := replace(name, next)
		time.Sleep(time.Duration(chance.Int64N(int64(whole)))) // the moment, not a wait
		p.Signal(t, syscall.SIGTERM)
		exit := p.Wait(t)
		after := status(t, v.Name)
		changed := slices.Contains(names(after), next)
		if changed != (exit == 0) || !changed && !reflect.DeepEqual(before, after) {
			t.Fatalf("exit status %d, and the chain is %+v, was %+v", exit, after.Programs, before.Programs)
		}
		checkPins(t, v)
		outcomes[changed]++
	}
	t.Logf("a change takes %v; changes made: %v", whole, outcomes)
	unload(t, v.Name)
}

func find(t *testing.T, chain *dispatcher.Chain, name string) uint32 {
	t.Helper()
	p, err := chain.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return p.ID
}

// expected says whether a finished command makes after of the chain before. All programs keep
// their ids but the one that the command is about.
func expected(before, after *dispatcher.Chain, args []string) bool {
	about := []string{"v_drop", "v_tx"}
	rest := func(c *dispatcher.Chain) (ids []uint32, others []string) {
		for _, p := range c.Programs {
			if slices.Contains(about, p.Name) {
				others = append(others, p.Name)
			} else {
				ids = append(ids, p.ID)
			}
		}
		return ids, others
	}
	idsBefore, had := rest(before)
	idsAfter, has := rest(after)
	if !slices.Equal(idsBefore, idsAfter) {
		return false
	}
	switch args[0] {
	case "load":
		return slices.Equal(has, []string{"v_drop"})
	case "unload":
		return len(has) == 0
	case "upgrade":
		return slices.Equal(has, had) && after.Version != before.Version
	}
	return len(has) == 1 && has[0] != had[0]
}
