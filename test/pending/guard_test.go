package pending

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/pending"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestGuard tries changes with commands that fail, hang or are killed once the chain is changed.
// Each takes the change back long before its time is over, and says why.
func TestGuard(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	fails := filepath.Join(t.TempDir(), "fails") // once this is there
	for _, c := range []struct{ name, guard, says string }{
		{"fails", fmt.Sprintf("test ! -e %s || { echo cut off >&2; exit 7; }", fails), "failed: exit status 7: cut off"},
		{"hangs", fmt.Sprintf("test ! -e %s || sleep 12345", fails), "didn't end within 1s"},
		{"hangs behind", fmt.Sprintf("test ! -e %s || { sleep 12345 & exit 1; }", fails), "failed: exit status 1"},
		{"killed", fmt.Sprintf("test ! -e %s || kill -9 $$", fails), "failed: signal: killed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := chain(t, v, 2)
			_ = os.Remove(fails)
			term := inTerminal(t, "load", v.Name, object(t), "-n", "v_drop", "--confirm", "10m", "--guard", c.guard, "--guard-interval", "1", "--guard-timeout", "1")
			term.shows(t, prompt)
			must(t, os.WriteFile(fails, nil, 0o600))
			term.End(t, 3)
			term.shows(t, "taken back: the guard ")
			term.shows(t, c.says)
			if now := status(t, v.Name); !reflect.DeepEqual(now, before) {
				t.Errorf("it is %+v, was %+v", now, before)
			}
			if !harness.Eventually(func() bool { return !runs(t, "sleep\x0012345\x00") }) {
				t.Error("what the guard has started still runs")
			}
			checkEnded(t, v)
		})
	}
	chain(t, v, 0)
}

// runs says whether a process with that command line runs.
func runs(t *testing.T, line string) bool {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && string(text) == line {
			return true
		}
	}
	return false
}

// TestGuardConfirms tries a change whose guard doesn't fail. At the end of the time the change
// is confirmed, if that was asked for.
func TestGuardConfirms(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	count := filepath.Join(t.TempDir(), "count")
	for _, auto := range []bool{true, false} {
		before := chain(t, v, 1)
		change, err := pending.Begin(t.Context(), pending.Options{Time: 3 * time.Second, By: "a test", Command: "TestGuardConfirms", Auto: auto,
			Guard: &pending.Guard{Command: []string{"/bin/sh", "-c", "echo >>" + count}, Timeout: time.Minute, Interval: time.Second}})
		must(t, err)
		tx := dispatcher.Transaction{Add: []xdp.Program{{File: object(t), Name: "v_drop"}}, Changing: change.Hold(t.Context())}
		done, err := tx.Commit(t.Context(), v.Name)
		must(t, err)
		waits, err := change.Made(t.Context())
		must(t, err)
		outcome, err := change.Await(t.Context())
		must(t, err)
		want := before
		if auto {
			want = done.Chain
		}
		if now := status(t, v.Name); !waits || outcome.Confirmed != auto || !reflect.DeepEqual(now, want) {
			t.Errorf("confirms: %t, and it ended %+v; it is %+v, want %+v", auto, outcome, now, want)
		}
		if auto && outcome.Why != "its guard, which has not failed" {
			t.Errorf("confirmed by %s", outcome.Why)
		}
		must(t, change.Close())
		lines, err := os.ReadFile(count)
		must(t, err)
		if n := strings.Count(string(lines), "\n"); n < 3 {
			t.Errorf("the guard ran %d times", n)
		}
		checkEnded(t, v)
	}
	chain(t, v, 0)
}

// TestGuardDrops tries a program that drops all packets while packets come.
func TestGuardDrops(t *testing.T) {
	harness.NoLeak(t)
	harness.FillShortcut(t)
	v := harness.NewVeth(t)
	before := chain(t, v, 2)
	frame := append([]byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5}, make([]byte, 46)...)
	var ending atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !ending.Load() {
			v.Send(t, frame, frame, frame, frame, frame, frame, frame, frame, frame, frame)
		}
	}()
	defer func() { ending.Store(true); <-ended }()
	term := inTerminal(t, "load", v.Name, object(t), "-n", "v_drop", "-P", "1", "--confirm", "10m", "--guard-drops", "20", "--guard-before", "1", "--guard-interval", "1")
	term.shows(t, prompt)
	term.End(t, 3)
	term.shows(t, "taken back: "+v.Name+" drops ")
	term.shows(t, "of its packets, and before the change it dropped 0.0%")
	if now := status(t, v.Name); !reflect.DeepEqual(now, before) {
		t.Errorf("it is %+v, was %+v", now, before)
	}
	checkEnded(t, v)

	// No change is confirmed by a guard that hasn't looked, however short the time is.
	drops, first := 20.0, uint32(1)
	change, err := pending.Begin(t.Context(), pending.Options{Time: time.Second, By: "a test", Command: "TestGuardDrops", Auto: true, Interfaces: []string{v.Name},
		Guard: &pending.Guard{Drops: &drops, Before: time.Second, Interval: time.Hour}})
	must(t, err)
	tx := dispatcher.Transaction{Add: []xdp.Program{{File: object(t), Name: "v_drop", Priority: &first}}, Changing: change.Hold(t.Context())}
	_, err = tx.Commit(t.Context(), v.Name)
	must(t, err)
	_, err = change.Made(t.Context())
	must(t, err)
	outcome, err := change.Await(t.Context())
	must(t, err)
	must(t, change.Close())
	if !outcome.TakenBack() || !strings.Contains(outcome.Why, " drops ") {
		t.Errorf("it ended %+v", outcome)
	}
	checkEnded(t, v)

	// A change that drops no more goes on. The guard's command is run once before the change, and
	// then before each look at what is dropped.
	rounds := filepath.Join(t.TempDir(), "rounds")
	run(t, 0, "load", v.Name, object(t), "-n", "v_tx", "-P", "90", "-A", "TX", "--confirm", "10m", "--guard", "echo >>"+rounds, "--guard-drops", "20", "--guard-before", "1", "--guard-interval", "1")
	if !harness.Eventually(func() bool {
		data, err := os.ReadFile(rounds)
		must(t, err)
		return len(data) > 3
	}) {
		t.Error("the guard isn't run again and again")
	}
	run(t, 0, "confirm")
	checkEnded(t, v)
	ending.Store(true)
	<-ended
	chain(t, v, 0)
}

// TestGuardBefore tries changes with guards that fail already before. Nothing is changed.
func TestGuardBefore(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	before := chain(t, v, 1)
	for guard, says := range map[string]string{
		"no-such-command-is-here": "not found",
		"exit 1":                  "nothing was changed, as the guard \"exit 1\" failed: exit status 1 already before",
		"sleep 12345":             "didn't end within 1s already before",
		" ":                       "--guard names no command",
	} {
		if said := run(t, 1, "unload", "-a", v.Name, "--guard", guard, "--guard-timeout", "1"); !strings.Contains(said, says) {
			t.Errorf("%q: it says\n%s", guard, said)
		}
	}
	if now := status(t, v.Name); !reflect.DeepEqual(now, before) {
		t.Errorf("it is %+v, was %+v", now, before)
	}
	checkEnded(t, v)
	chain(t, v, 0)
}
