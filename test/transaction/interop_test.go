package transaction

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// passing are programs to load, which differ by name.
var passing = []string{"v_pass", "v_drop", "v_tx", "v_pass_frags", "v_pass_with_a_name_longer_than_the_kernel_keeps"}

// TestRandomInterop makes random changes to one chain, by transactions and by the native tool.
// After each change both show the same, the pins are those of the protocol, and the chain holds
// what it should.
func TestRandomInterop(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	chance := harness.Chance(t)
	want := 0
	for i := range harness.Scaled(200, 15) {
		chain := status(t, v.Name)
		op := randomOperation(t, chance, v.Name, chain)
		want += op.grows
		if got := len(status(t, v.Name).Programs); got != want {
			t.Fatalf("operation %d, %s: %d programs, want %d", i, op.text, got, want)
		}
		if t.Failed() {
			t.Fatalf("operation %d, %s", i, op.text)
		}
		text := bothShow(t, v.Name)
		if diff := wrongPins(t, v, status(t, v.Name)); diff != "" {
			t.Fatalf("operation %d, %s: %s\n%s", i, op.text, diff, text)
		}
	}
	if want > 0 {
		unload(t, v.Name)
	}
	checkPins(t, v)
}

// operation is what was done, and by how many programs the chain has grown.
type operation struct {
	text  string
	grows int
}

func randomOperation(t *testing.T, chance *rand.Rand, ifname string, chain *dispatcher.Chain) operation {
	t.Helper()
	there := chain.Programs
	pick := func() uint32 { return there[chance.IntN(len(there))].ID }
	name := passing[chance.IntN(len(passing))]
	program := fixture("verdicts", name)
	program.Priority = prio(1 + chance.Uint32N(60))
	if chance.IntN(2) == 0 {
		program.Actions = actions(xdp.Verdict(chance.IntN(5)), xdp.Pass)
	}
	tx := dispatcher.Transaction{Mode: xdp.ModeUnspecified}
	if len(there) == 0 {
		tx.Mode = xdp.ModeNative
	}
	n := chance.IntN(8)
	if len(there) == 0 || len(there) < 3 && n > 5 {
		n %= 2
	}
	if len(there) > 8 && n < 2 {
		n = 6
	}
	switch n {
	case 0:
		harness.MustRun(t, native, "load", ifname, program.File, "-n", name, "-P", fmt.Sprint(*program.Priority))
		return operation{"native load " + name, 1}
	case 1:
		tx.Add = []xdp.Program{program}
		commit(t, ifname, tx)
		return operation{"add " + name, 1}
	case 2:
		id := pick()
		commit(t, ifname, dispatcher.Transaction{Mode: tx.Mode, Set: []dispatcher.Setting{{ID: id, Priority: prio(chance.Uint32N(60))}}})
		return operation{fmt.Sprintf("set %d", id), 0}
	case 3:
		id := pick()
		tx.Replace = []dispatcher.Replacement{{ID: id, Program: program}}
		commit(t, ifname, tx)
		return operation{fmt.Sprintf("replace %d by %s", id, name), 0}
	case 4:
		id := pick()
		tx.Remove, tx.Add = []uint32{id}, []xdp.Program{program}
		commit(t, ifname, tx)
		return operation{fmt.Sprintf("remove %d, add %s", id, name), 0}
	case 5:
		id := pick()
		commit(t, ifname, dispatcher.Transaction{Mode: tx.Mode, Set: []dispatcher.Setting{{ID: id, Actions: program.Actions}}})
		return operation{fmt.Sprintf("set the actions of %d", id), 0}
	case 6:
		id := pick()
		harness.MustRun(t, native, "unload", ifname, "-i", fmt.Sprint(id))
		return operation{fmt.Sprintf("native unload %d", id), -1}
	}
	id := pick()
	tx.Remove = []uint32{id}
	commit(t, ifname, tx)
	return operation{fmt.Sprintf("remove %d", id), -1}
}

// TestConcurrent has eight processes load and unload programs, each with a priority of its own,
// while tools clean. What reports success has happened once, what reports failure hasn't.
func TestConcurrent(t *testing.T) {
	for _, c := range []struct {
		name            string
		tools, cleaners []string // in turn
	}{
		// A native clean takes the pins away that a native load has just made: so libxdp loses
		// chains, with all that is in them.
		{"ours and native", []string{harness.Xdpmux(), native}, []string{harness.Xdpmux()}},
		{"ours", []string{harness.Xdpmux()}, []string{harness.Xdpmux(), native}},
	} {
		t.Run(c.name, func(t *testing.T) {
			harness.NoLeak(t)
			v := harness.NewVeth(t)
			changes := harness.Scaled(50, 2)
			stop := cleaning(t, c.cleaners...)
			var wg sync.WaitGroup
			failures := make([]int, 8)
			for w := range failures {
				wg.Add(1)
				go func() {
					defer wg.Done()
					failures[w] = worker(t, v.Name, c.tools[w%len(c.tools)], uint32(100+w), changes)
				}()
			}
			wg.Wait()
			stop()
			t.Logf("failures of %d changes each, by %q in turn: %v", changes, c.tools, failures)
			if err := dispatcher.DetachAll(t.Context(), v.Name, dispatcher.DetachOptions{}); err != nil && status(t, v.Name).Dispatcher != nil {
				t.Error(err)
			}
			checkPins(t, v)
		})
	}
}

// worker loads and unloads a program of that priority in turn, and returns how many
// of the changes failed. None of ours may: it has the patience.
func worker(t *testing.T, ifname, tool string, priority uint32, changes int) (failed int) {
	var id uint32 // of the program that is loaded; 0: none is
	for range changes {
		args := []string{"unload", ifname, "-i", fmt.Sprint(id)}
		if id == 0 {
			args = []string{"load", ifname, fixture("verdicts", "").File, "-n", "v_pass", "-P", fmt.Sprint(priority)}
		}
		stdout, stderr, exit := harness.Run(t, tool, args...)
		found := settled(t, ifname, priority)
		switch {
		case exit != 0 && (len(found) > 0) == (id != 0):
			failed++
			if tool == harness.Xdpmux() {
				t.Errorf("%s %s: exit status %d\n%s", tool, strings.Join(args, " "), exit, stderr)
			}
		case exit == 0 && id == 0 && len(found) == 1:
			id = found[0]
		case exit == 0 && id != 0 && len(found) == 0:
			id = 0
		default:
			t.Errorf("%s %s: exit status %d, and programs %v with its priority, before %d\n%s%s", tool, strings.Join(args, " "), exit, found, id, stdout, stderr)
			return failed
		}
	}
	return failed
}

// settled are the ids of the programs of that priority. It reads again if somebody is just
// removing the pins.
func settled(t *testing.T, ifname string, priority uint32) (ids []uint32) {
	for try := 0; ; try++ {
		chain, err := dispatcher.Status(t.Context(), ifname)
		if err != nil {
			t.Error(err)
			return nil
		}
		ids = nil
		whole := true
		for _, p := range chain.Programs {
			whole = whole && p.ID != 0
			if p.Priority == priority {
				ids = append(ids, p.ID)
			}
		}
		if whole || try == 1000 {
			return ids
		}
	}
}
