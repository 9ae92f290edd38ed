package history

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/history"
	"github.com/xdpmux/xdpmux/test/harness"
)

const native = "xdp-loader"

// TestOtherTool: what xdp-loader has done is found by the next change through xdpmux, and by
// history itself, and once.
func TestOtherTool(t *testing.T) {
	harness.NoLeak(t)
	fresh(t, roomy)
	v := veth(t)
	step := func(tool string, want int, outcome history.Outcome, args ...string) *history.Record {
		t.Helper()
		before := running(t, v.Name)
		harness.MustRun(t, tool, args...)
		all := records(t, v.Name)
		if len(all) != want {
			t.Fatalf("%s %q: %d records, and not %d", tool, args, len(all), want)
		}
		r := all[want-1]
		if r.Outcome != outcome || places(r.After) != running(t, v.Name) || r.Before != nil && places(r.Before) != before {
			t.Errorf("%s %q: %+v", tool, args, r)
		}
		return r
	}
	if r := step(native, 1, history.Found, "load", v.Name, harness.Sample("xdp_pass")); r.Before != nil || r.User != nil || r.Command != nil {
		t.Errorf("%+v", r)
	}
	step(ours(), 2, history.Done, "load", v.Name, harness.Sample("xdp_drop"))
	r := step(native, 3, history.Found, "load", v.Name, harness.Sample("xdp_count"))
	for _, p := range r.After.Programs {
		if (p.SHA256 != "") != (p.Name == "xdp_drop") {
			t.Errorf("%s was loaded from %q", p.Name, p.SHA256)
		}
	}
	// Two changes by others are one, and come before that of xdpmux.
	harness.MustRun(t, native, "load", v.Name, harness.Sample("xdp_pass"))
	harness.MustRun(t, native, "unload", v.Name, "-i", id(t, v.Name, "xdp_count"))
	step(ours(), 5, history.Done, "set", v.Name, "--name", "xdp_drop", "-P", "9")
	all := records(t, v.Name)
	if all[3].Outcome != history.Found || places(all[3].Before) != places(all[2].After) || places(all[3].After) != places(all[4].Before) {
		t.Errorf("%+v\n%+v", all[3], all[4])
	}
	step(native, 6, history.Found, "unload", "-a", v.Name)
	// An interface of another namespace is another one, whatever its index.
	netns := harness.NewNetns(t)
	netns.Do(t, func() {
		w := veth(t)
		harness.MustRun(t, ours(), "load", w.Name, harness.Sample("xdp_pass"))
		if all := records(t, w.Name); len(all) != 1 || all[0].Netns == r.Netns {
			t.Errorf("%+v", all)
		}
		harness.MustRun(t, ours(), "unload", "-a", w.Name)
	})
	if all := records(t, v.Name); len(all) != 6 {
		t.Errorf("%d records", len(all))
	}
}

func id(t *testing.T, ifname, name string) string {
	t.Helper()
	p, err := harness.Status(t, ifname).Find(name)
	must(t, err)
	return itoa(p.ID)
}

// TestParallel: the records of processes that change one chain at once, and lose races to each
// other, are in the order of their swaps.
func TestParallel(t *testing.T) {
	harness.NoLeak(t)
	fresh(t, roomy)
	v := veth(t)
	var loads sync.WaitGroup
	for range 8 {
		loads.Add(1)
		go func() {
			defer loads.Done()
			harness.MustRun(t, ours(), "load", v.Name, harness.Sample("xdp_pass"))
		}()
	}
	loads.Wait()
	done := 0
	for _, r := range unbroken(t, v.Name) {
		if r.Outcome == history.Done {
			done++
		}
	}
	if done != 8 {
		t.Errorf("%d of 8 loads are recorded", done)
	}
}

// TestKilled kills changes at random moments. Whatever was written by then, the records make
// one story, and what was killed is told from what another tool has done.
func TestKilled(t *testing.T) {
	harness.NoLeak(t)
	fresh(t, roomy)
	v := veth(t)
	chance := harness.Chance(t)
	harness.MustRun(t, ours(), "load", v.Name, harness.Sample("xdp_pass"))
	set := func(prio int) []string {
		return []string{"set", v.Name, "--name", "xdp_pass", "-P", itoa(uint32(prio))}
	}
	start := time.Now()
	harness.MustRun(t, ours(), set(1000)...)
	whole := time.Since(start)
	outcomes := map[history.Outcome]int{}
	for i := range 25 {
		p := harness.Start(t, ours(), set(i)...)
		time.Sleep(time.Duration(chance.Int64N(int64(whole)))) // the moment, not a wait
		p.Signal(t, os.Kill)
		p.Wait(t)
		all := unbroken(t, v.Name)
		outcomes[all[len(all)-1].Outcome]++
	}
	harness.MustRun(t, ours(), "clean")
	t.Logf("a change takes %v; the newest record after the kill: %v", whole, outcomes)
}

// TestNoRoom: where the history can't be written the change is made all the same, and one
// warning says that it isn't recorded. Nothing half is left.
func TestNoRoom(t *testing.T) {
	harness.NoLeak(t)
	fresh(t, 1<<16)
	v := veth(t)
	harness.MustRun(t, ours(), "load", v.Name, harness.Sample("xdp_pass"))
	before := harness.MustRun(t, ours(), "history")
	filler := "/var/lib/xdpmux/filler"
	harness.Run(t, "dd", "if=/dev/zero", "of="+filler, "bs=4096")
	for full := true; full; {
		_, stderr, status := harness.Run(t, ours(), "load", v.Name, harness.Sample("xdp_drop"))
		if status != 0 {
			t.Fatalf("exit status %d: %s", status, stderr)
		}
		if want := "xdpmux: warning: the history will not have this change of " + v.Name + ": write /var/lib/xdpmux/history/log: no space left on device\n" +
			"  see to it that /var/lib/xdpmux/history can be written\n"; stderr == want {
			break
		} else if stderr != "" && !strings.HasPrefix(stderr, "xdpmux: warning: undo will not be able to load these programs again, as they can't be kept: write /var/lib/xdpmux/objects/") {
			t.Fatal(stderr)
		}
		// There was room at the end of the log.
		before = harness.MustRun(t, ours(), "history")
		if n := len(harness.Status(t, v.Name).Programs); n == 10 {
			t.Fatal("ten loads, and the disk isn't full")
		}
	}
	must(t, os.Remove(filler))
	if left, err := filepath.Glob("/var/lib/xdpmux/objects/*.new"); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
	text, err := os.ReadFile("/var/lib/xdpmux/history/log")
	must(t, err)
	if text[len(text)-1] != '\n' {
		t.Error("half a line is left")
	}
	// What wasn't recorded is found now.
	all := records(t)
	if r := all[len(all)-1]; r.Outcome != history.Found || places(r.After) != running(t, v.Name) {
		t.Errorf("%+v", r)
	}
	if after := harness.MustRun(t, ours(), "history"); len(after) <= len(before) || after[len(after)-len(before):] != before {
		t.Errorf("what was there before is another:\n%s\n%s", before, after)
	}
}

// TestReadOnly: where the history is read-only it is the same, and a damaged line is told of.
func TestReadOnly(t *testing.T) {
	harness.NoLeak(t)
	fresh(t, roomy)
	v := veth(t)
	harness.MustRun(t, ours(), "load", v.Name, harness.Sample("xdp_pass"))
	log, err := os.OpenFile(filepath.Join(history.DefaultDir, "log"), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = log.WriteString("12345678 {\"number\":99,")
	must(t, err)
	must(t, log.Close())
	stdout, stderr, status := harness.Run(t, ours(), "history", "--json")
	if status != 0 || stderr != "xdpmux: warning: 1 line of the history can't be read, and what was recorded there is lost\n" {
		t.Errorf("exit status %d: %s%s", status, stdout, stderr)
	}
	harness.MustRun(t, "mount", "-o", "remount,ro", "/var/lib/xdpmux")
	_, stderr, status = harness.Run(t, ours(), "load", v.Name, harness.Sample("xdp_drop"))
	if want := "xdpmux: warning: the history will not have this change of " + v.Name + ": open /var/lib/xdpmux/history/lock: read-only file system\n" +
		"  see to it that /var/lib/xdpmux/history can be written\n"; status != 0 || stderr != want {
		t.Errorf("exit status %d: %s", status, stderr)
	}
	if n := len(harness.Status(t, v.Name).Programs); n != 2 {
		t.Errorf("%d programs", n)
	}
}
