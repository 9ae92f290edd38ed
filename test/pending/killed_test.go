package pending

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/pending"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// waiters are the processes that wait for an end.
func waiters(t *testing.T) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	for _, file := range files {
		if line, err := os.ReadFile(file); err == nil && strings.Contains(string(line), "\x00__wait\x00") {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			must(t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}

// pendingOn says whether a change of the interface is pending. One that was killed before it had
// changed anything is none.
func pendingOn(t *testing.T, v *harness.Veth) bool {
	t.Helper()
	infos, err := pending.List()
	must(t, err)
	return slices.ContainsFunc(infos, func(info pending.Info) bool {
		return slices.ContainsFunc(info.Interfaces, func(is xdp.Interface) bool { return is.Index == v.Index })
	})
}

// TestKilled kills commands, and the processes that wait, at random moments. The chain is the
// old or the new one then. What is pending ends with its time, by a process that waits or by
// the next call of xdpmux; nothing is left of it.
func TestKilled(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	chance := harness.Chance(t)
	before := chain(t, v, 2)
	start := time.Now()
	run(t, 0, "load", v.Name, object(t), "-n", "v_drop", "--confirm", "10m")
	run(t, 0, "revert")
	whole := time.Since(start)
	outcomes := map[string]int{}
	for i := range harness.Scaled(200, 8) {
		c := changes[chance.IntN(len(changes))]
		args := append(c.args(t, v, before), "--confirm", "1")
		signal := []syscall.Signal{syscall.SIGKILL, syscall.SIGHUP}[chance.IntN(2)]
		p := harness.Start(t, harness.Xdpmux(), args...)
		time.Sleep(time.Duration(chance.Int64N(int64(whole)))) // the moment, not a wait
		p.Signal(t, signal)
		what := fmt.Sprintf("round %d: %v of %q", i, signal, args)
		if chance.IntN(2) == 0 {
			time.Sleep(time.Duration(chance.Int64N(int64(whole)))) // another moment
			for _, pid := range waiters(t) {
				if waiting := []syscall.Signal{syscall.SIGKILL, syscall.SIGHUP}[chance.IntN(2)]; syscall.Kill(pid, waiting) == nil {
					what += fmt.Sprintf(" and %v of the process that waits", waiting)
				}
			}
		}
		p.Wait(t)
		outcome := "old"
		if now := status(t, v.Name); !reflect.DeepEqual(now, before) {
			outcome = "new"
		}
		confirm := chance.IntN(4) == 0
		if confirm {
			_, _, exit := harness.Run(t, harness.Xdpmux(), "confirm")
			confirm = exit == 0
			outcome += fmt.Sprintf(", confirmed: %t", confirm)
		}
		if !harness.Eventually(func() bool {
			infos, err := pending.List()
			must(t, err)
			if len(infos) == 0 {
				return true
			}
			concerned := pendingOn(t, v)
			said := run(t, 0, "status", v.Name) // which takes it back if nobody else does
			if concerned && !strings.Contains(said, "waits to be confirmed") && !strings.Contains(said, "taken back") && pendingOn(t, v) {
				t.Errorf("%s: status doesn't name it:\n%s", what, said)
			}
			return false
		}) {
			t.Fatalf("%s: it stays pending", what)
		}
		now := status(t, v.Name)
		if !confirm && !reflect.DeepEqual(now, before) {
			t.Fatalf("%s: %s\nit is\n%+v\nand was\n%+v", what, outcome, now, before)
		}
		run(t, 0, "clean")
		checkEnded(t, v)
		if outcomes[outcome]++; confirm {
			before = chain(t, v, 2)
		}
	}
	t.Logf("a change and its end take %v; outcomes: %v", whole, outcomes)
	if !harness.Eventually(func() bool { return len(waiters(t)) == 0 }) {
		t.Errorf("they still wait: %d", waiters(t))
	}
	chain(t, v, 0)
}

// TestWaiterKilled kills the process that waits. The next call has another one wait, or takes
// the change back if the time is over.
func TestWaiterKilled(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	before := chain(t, v, 2)
	kill := func() {
		t.Helper()
		pids := waiters(t)
		if len(pids) != 1 {
			t.Fatalf("processes that wait: %d", pids)
		}
		must(t, syscall.Kill(pids[0], syscall.SIGKILL))
		if !harness.Eventually(func() bool { return len(waiters(t)) == 0 }) {
			t.Fatal("it isn't killed")
		}
	}
	run(t, 0, "load", v.Name, object(t), "-n", "v_drop", "--confirm", "10m")
	kill()
	// Its lock goes with the last of it, a moment after its command line.
	if !harness.Eventually(func() bool {
		infos, err := pending.List()
		return err == nil && len(infos) == 1 && infos[0].Waiter == ""
	}) {
		infos, err := pending.List()
		t.Errorf("pending: %+v, %v", infos, err)
	}
	const killed = "the process that waited for a change of "
	if said := run(t, 0, "status", v.Name); !strings.Contains(said, killed+v.Name+" to be confirmed was killed; another one waits now") {
		t.Errorf("status says:\n%s", said)
	}
	if infos, err := pending.List(); err != nil || len(infos) != 1 || infos[0].Waiter == "" {
		t.Errorf("pending: %+v, %v", infos, err)
	}
	run(t, 0, "revert")

	run(t, 0, "load", v.Name, object(t), "-n", "v_drop", "--confirm", "1")
	kill()
	infos, err := pending.List()
	must(t, err)
	time.Sleep(time.Until(infos[0].Ends)) // its end, which nobody waits for
	if said := run(t, 0, "status", v.Name); !strings.Contains(said, killed+v.Name+" to be confirmed was killed") || !strings.Contains(said, "taken back: nobody confirmed it in time") {
		t.Errorf("status says:\n%s", said)
	}
	if now := status(t, v.Name); !reflect.DeepEqual(now, before) {
		t.Errorf("%+v, was %+v", now, before)
	}
	checkEnded(t, v)
	chain(t, v, 0)
}

// TestKilledAtEachStep kills the end of a change at each of its system calls that change
// something. The next call finishes the end.
func TestKilledAtEachStep(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	before := chain(t, v, 2)
	chance, step := harness.Chance(t), harness.Scaled(1, 12)
	for _, end := range []string{"revert", "confirm"} {
		kills := 0
		for n := 1 + chance.IntN(step); ; n += step {
			run(t, 0, "load", v.Name, object(t), "-n", "v_drop", "--confirm", "10m")
			changed := status(t, v.Name)
			for _, pid := range waiters(t) { // else it finishes what was killed
				must(t, syscall.Kill(pid, syscall.SIGKILL))
			}
			fault := fmt.Sprintf("unlinkat,renameat,mkdirat,sendto,pwrite64:signal=KILL:when=%d", n)
			_, _, trace := harness.Strace(t, "unlinkat,renameat,mkdirat,sendto,pwrite64", []string{fault}, harness.Xdpmux(), end, v.Name)
			run(t, 0, "status", v.Name)
			if !nothingPending(t) { // it was killed before it had begun
				run(t, 0, end, v.Name)
			}
			want := before
			if end == "confirm" {
				want = changed
			}
			if now := status(t, v.Name); !reflect.DeepEqual(now, want) {
				t.Errorf("%s, killed at call %d:\n%+v\nwant\n%+v", end, n, now, want)
			}
			run(t, 0, "clean")
			checkEnded(t, v)
			if end == "confirm" {
				before = chain(t, v, 2)
			}
			if !strings.Contains(trace, "killed by SIGKILL") {
				if kills > 0 || n == 1 {
					break
				}
				n = 1 - step // it was over before: from its first call on
				continue
			}
			kills++
			if n > 200 {
				t.Fatal("it never comes to its end")
			}
		}
		if t.Logf("%s: %d kills", end, kills); kills == 0 {
			t.Errorf("no %s was killed", end)
		}
	}
	chain(t, v, 0)
}
