package agent

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/vishvananda/netlink"

	"github.com/xdpmux/xdpmux/dispatcher/history"
	"github.com/xdpmux/xdpmux/dispatcher/pending"
	"github.com/xdpmux/xdpmux/test/harness"
)

const native = "xdp-loader"

// add makes a pair of interfaces; its end goes when the test does.
func add(t *testing.T, name string) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "peer-" + name}); err != nil {
		t.Fatal(err)
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = netlink.LinkDel(link) }) // by its index
}

// cleans has what vanished interfaces have left removed at the end of the test.
func cleans(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { harness.MustRun(t, harness.Xdpmux(), "clean") })
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	link, err := netlink.LinkByName(from)
	if err == nil {
		err = netlink.LinkSetName(link, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestInterfaces: an interface that comes gets its chain within a second, keeps it under another
// name that the files declare too, and loses it under one that they don't.
func TestInterfaces(t *testing.T) {
	harness.NoLeak(t)
	cleans(t)
	dir := t.TempDir()
	put(t, dir, "a.yaml", declare(t, "ag?", "xdp_drop", "xdp_pass", "xdp_count"))
	a := start(t, dir)
	a.until(t, "the files have been read", "")
	const all = "xdp_count xdp_drop xdp_pass"

	// This VM may have a processor to share, so what a load takes now is taken into account.
	w := harness.NewVeth(t)
	loads := time.Now()
	harness.MustRun(t, harness.Xdpmux(), "load", w.Name, harness.Sample("xdp_drop"), harness.Sample("xdp_pass"), harness.Sample("xdp_count"))
	load := time.Since(loads)
	harness.MustRun(t, harness.Xdpmux(), "unload", w.Name, "-a")
	added := time.Now()
	add(t, "ag0")
	a.changes(t, "added", "ag0", all)
	within(t, "an added interface runs its chain", added, time.Second+load)
	before := runs(t, "ag0")

	rename(t, "ag0", "ag1")
	a.until(t, "the interface is called otherwise", "ag1")
	rename(t, "ag1", "zz1")
	a.changes(t, "renamed to what no file declares", "zz1", "")
	rename(t, "zz1", "ag2")
	a.changes(t, "renamed back", "ag2", all)
	if now := runs(t, "ag2"); now == before {
		t.Errorf("it ran %s without being declared", now)
	}
	// Several at once.
	added = time.Now()
	many := harness.Scaled(20, 4)
	for i := range many {
		add(t, fmt.Sprintf("ag%c", 'a'+i))
	}
	for range many {
		a.until(t, "changed", "")
	}
	t.Logf("%d interfaces run their chains after %v", many, time.Since(added).Round(time.Millisecond))
	for i := range many {
		check(t, "several are added", fmt.Sprintf("ag%c", 'a'+i), all)
	}
	a.end(t)
	for i := range many {
		check(t, "without a file", fmt.Sprintf("ag%c", 'a'+i), "")
	}
}

// figures waits until the agent serves these.
func figures(t *testing.T, url string, want ...string) {
	t.Helper()
	var scrape string
	if !harness.Eventually(func() bool {
		scrape = harness.Get(t, url+"/metrics")
		return !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(scrape, "\nxdpmux_agent_"+w+"\n") })
	}) {
		t.Errorf("want %q in\n%s", want, scrape)
	}
	if problems, err := promlint.New(strings.NewReader(scrape)).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", err, problems)
	}
}

// TestDrift: what a native tool takes off is put back, twice; then it is a fight, which only a
// person ends, whatever the clock is set to meanwhile. What a native tool adds stays.
func TestDrift(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	dir := t.TempDir()
	put(t, dir, "a.yaml", declare(t, v.Name, "xdp_pass", "xdp_count"))
	a := start(t, dir, "--listen", "127.0.0.1:0")
	url := a.until(t, "serving", "").URL
	read := a.until(t, "the files have been read", "") // earlier agents of this boot have counted too
	a.changes(t, "started", v.Name, "xdp_count xdp_pass")

	harness.MustRun(t, native, "load", v.Name, "-P", "90", harness.Sample("xdp_drop"))
	check(t, "joined by a native tool", v.Name, "xdp_count xdp_pass xdp_drop")
	for i, step := range []time.Duration{-time.Hour, 2 * time.Hour} {
		harness.MustRun(t, native, "unload", v.Name, "-a")
		since := time.Now()
		a.until(t, "drift: the interface is no longer as declared", v.Name)
		within(t, "drift is seen", since, time.Second)
		harness.StepClock(t, step)
		if r := a.changes(t, "mended", v.Name, "xdp_count xdp_pass"); !r.Mended {
			t.Errorf("%d: %+v", i, r)
		}
	}
	harness.MustRun(t, native, "unload", v.Name, "-a")
	a.until(t, "drift: somebody changes it again and again", v.Name)
	if now := names(t, v.Name); now != "" {
		t.Errorf("in a fight the agent has loaded %s", now)
	}
	figures(t, url, fmt.Sprintf("generation %d", read.Generation), "files_unread 0", "drift_total 3", "mended_total 2", "changes_total 3", "taken_back_total 0", "pending_changes 0",
		fmt.Sprintf(`interface{condition="drifted",interface="%s"} 1`, v.Name),
		fmt.Sprintf(`interface_programs{interface="%s",what="declared"} 2`, v.Name),
		fmt.Sprintf(`interface_programs{interface="%s",what="running"} 0`, v.Name))
	for _, path := range []string{"/healthz", "/readyz"} {
		if said := harness.Get(t, url+path); said != "ok\n" {
			t.Errorf("%s: %q", path, said)
		}
	}
	// Somebody reloads the agent.
	a.Signal(t, syscall.SIGHUP)
	a.changes(t, "reloaded", v.Name, "xdp_count xdp_pass")
	a.Stop(t, syscall.SIGTERM)

	// Another one only reports, whether it has seen the change or finds it.
	ran := runs(t, v.Name)
	a = start(t, dir, "--drift", "report")
	harness.MustRun(t, harness.Xdpmux(), "unload", v.Name, "--name", "xdp_pass")
	a.until(t, "drift: the interface is no longer as declared", v.Name)
	a.Stop(t, syscall.SIGTERM)
	a = start(t, dir, "--drift", "report")
	a.until(t, "drift: the interface is no longer as declared", v.Name)
	if now := runs(t, v.Name); now == "" || !strings.HasPrefix(ran, now) {
		t.Errorf("it ran %s and runs %s", ran, now)
	}
	a.end(t)
}

// TestBadFiles: each bad file is named, the good ones are applied, and what a bad one declared before
// stays.
func TestBadFiles(t *testing.T) {
	harness.NoLeak(t)
	v, w := harness.NewVeth(t), harness.NewVeth(t)
	dir := t.TempDir()
	put(t, dir, "a.yaml", declare(t, v.Name, "xdp_pass"))
	put(t, dir, "b.yaml", declare(t, w.Name, "xdp_count"))
	a := start(t, dir)
	a.changes(t, "started", v.Name, "xdp_pass")
	a.changes(t, "started", w.Name, "xdp_count")
	ran := runs(t, v.Name)

	put(t, dir, "a.yaml", "interfaces: [")
	if r := a.until(t, "this file can't be used", "a.yaml"); !strings.Contains(r.Error, "a.yaml:2:1") {
		t.Errorf("%+v", r)
	}
	put(t, dir, "b.yaml", declare(t, w.Name, "xdp_count", "xdp_drop"))
	a.changes(t, "a good one beside a bad one", w.Name, "xdp_count xdp_drop")

	// A file that is written to is left alone until it is whole, although its beginning is a file
	// as well.
	put(t, dir, "a.yaml", declare(t, v.Name, "xdp_pass"))
	a.until(t, "the file can be used again", "a.yaml")
	f, err := os.Create(dir + "/a.yaml")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, declare(t, v.Name, "xdp_drop"))
	put(t, dir, "b.yaml", declare(t, w.Name, "xdp_drop"))
	a.changes(t, "another file meanwhile", w.Name, "xdp_drop")
	if now := runs(t, v.Name); now != ran {
		t.Errorf("it ran %s and runs %s", ran, now)
	}
	fmt.Fprint(f, declare(t, "other", "xdp_pass")[len("interfaces: "):]) // which spoils it
	f.Close()
	a.until(t, "this file can't be used", "a.yaml")
	if now := runs(t, v.Name); now != ran {
		t.Errorf("it ran %s and runs %s", ran, now)
	}

	// An agent that is started now knows what the bad file declared.
	a.Signal(t, syscall.SIGKILL)
	a.Wait(t)
	a = start(t, dir)
	a.until(t, "this file can't be used", "a.yaml")
	if now := runs(t, v.Name); now != ran {
		t.Errorf("it ran %s and runs %s", ran, now)
	}
	put(t, dir, "a.yaml", declare(t, v.Name, "xdp_pass"))
	a.until(t, "the file can be used again", "a.yaml")

	// Two files contradict each other about one interface.
	put(t, dir, "c.yaml", declare(t, v.Name, "xdp_drop", "xdp_pass"))
	if r := a.until(t, "the files contradict each other", v.Name); !strings.Contains(r.Error, `two programs "xdp_pass"`) || !strings.Contains(r.Remedy, "a.yaml") {
		t.Errorf("%+v", r)
	}
	put(t, dir, "b.yaml", declare(t, w.Name, "xdp_count"))
	a.changes(t, "others meanwhile", w.Name, "xdp_count")
	if now := runs(t, v.Name); now != ran {
		t.Errorf("it ran %s and runs %s", ran, now)
	}

	// A removed file: its programs leave. A directory that can't be read is no removal.
	if err := os.Remove(dir + "/a.yaml"); err != nil {
		t.Fatal(err)
	}
	a.changes(t, "the contradiction is gone", v.Name, "xdp_drop xdp_pass")
	ran = runs(t, v.Name)
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	a.until(t, "the files can't be read: all stays as it is", "")
	if now := runs(t, v.Name); now != ran {
		t.Errorf("it ran %s and runs %s", ran, now)
	}
	if err := os.Remove(dir + "-away/c.yaml"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir+"-away", dir); err != nil {
		t.Fatal(err)
	}
	a.changes(t, "without its file", v.Name, "")
	check(t, "the other one", w.Name, "xdp_count")
	a.end(t)
}

// TestRestart: what runs isn't loaded anew by an agent that is started after a stop or a kill, and
// a second one beside it is refused.
func TestRestart(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	dir := t.TempDir()
	put(t, dir, "a.yaml", declare(t, v.Name, "xdp_pass", "xdp_count"))
	a := start(t, dir)
	a.changes(t, "started", v.Name, "xdp_count xdp_pass")
	ran := runs(t, v.Name)
	_, stderr, status := harness.Run(t, harness.Xdpmux(), "agent", "--state", dir)
	if want := fmt.Sprintf("process %d (xdpmux-agent) is the agent of this network namespace already", a.PID()); status != 1 || !strings.Contains(stderr, want) {
		t.Errorf("a second one: %d, %s", status, stderr)
	}
	chance := harness.Chance(t)
	for i := range harness.Scaled(100, 5) {
		if i%2 == 0 {
			put(t, dir, "b.yaml", fmt.Sprintf("# %d", i))
		}
		// A moment of its start, which is what it can be killed at.
		time.Sleep(time.Duration(chance.IntN(300)) * time.Millisecond)
		a.Signal(t, syscall.SIGKILL)
		a.Wait(t)
		a = start(t, dir)
	}
	a.until(t, "", "")
	put(t, dir, "b.yaml", "interfaces: []")
	a.until(t, "the files have been read", "")
	if now := runs(t, v.Name); now != ran {
		t.Errorf("it ran %s and runs %s", ran, now)
	}
	a.end(t)
}

// TestTrials: a change of the files that a guard takes back isn't made again, by a next agent
// neither. One that passes its guard is confirmed by the agent.
func TestTrials(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	dir := t.TempDir()
	well := t.TempDir() + "/well"
	seconds := 2
	state := func(samples ...string) string {
		return fmt.Sprintf("guard: test -e %s\nguard-interval: 1\nconfirm: %d\n%s", well, seconds, declare(t, v.Name, samples...))
	}
	// What is there at the start isn't tried: with this guard it would never run.
	put(t, dir, "a.yaml", state("xdp_pass"))
	a := start(t, dir)
	a.changes(t, "started", v.Name, "xdp_pass")
	ran := runs(t, v.Name)

	put(t, dir, "a.yaml", state("xdp_drop"))
	if r := a.until(t, "not changed", v.Name); !strings.Contains(r.Error, "already before") {
		t.Errorf("%+v", r)
	}
	if err := os.WriteFile(well, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a.until(t, "changed, and taken back if the guard fails", "")
	check(t, "tried", v.Name, "xdp_drop")
	if err := os.Remove(well); err != nil {
		t.Fatal(err)
	}
	if r := a.until(t, "taken back", v.Name); !strings.Contains(r.Why, "the guard") {
		t.Errorf("%+v", r)
	}
	var records []history.Record // the newest first
	if err := json.Unmarshal([]byte(harness.MustRun(t, harness.Xdpmux(), "history", "--json", v.Name)), &records); err != nil {
		t.Fatal(err)
	}
	if len(records) < 2 || !strings.Contains(records[0].Why, "the guard") || records[1].Outcome != history.Done || !slices.Contains(records[1].Command, dir) {
		t.Errorf("the history has %+v", records)
	}
	if now := runs(t, v.Name); now != ran {
		t.Errorf("it ran %s and runs %s", ran, now)
	}
	if err := os.WriteFile(well, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, dir, "b.yaml", "interfaces: []") // which says nothing of that interface
	a.until(t, "the files have been read", "")
	a.Signal(t, syscall.SIGKILL)
	a.Wait(t)
	a = start(t, dir)
	put(t, dir, "b.yaml", "interfaces: [{name: absent}]")
	a.until(t, "the files have been read", "")
	if now := runs(t, v.Name); now != ran {
		t.Errorf("after a restart: it ran %s and runs %s", ran, now)
	}

	// The agent is killed while a change is tried: the next one waits for the end of it, or tries
	// it again if the time was over before.
	put(t, dir, "a.yaml", state("xdp_count"))
	a.until(t, "changed, and taken back if the guard fails", "")
	a.Signal(t, syscall.SIGKILL)
	a.Wait(t)
	a = start(t, dir)
	if !harness.Eventually(func() bool {
		made := names(t, v.Name) == "xdp_count"
		waiting, err := pending.List()
		return made && err == nil && len(waiting) == 0
	}) {
		t.Errorf("the next one doesn't confirm it: %s runs %q", v.Name, names(t, v.Name))
	}

	// Somebody sets the clock forward.
	seconds = 1
	a.until(t, "the files have been read", "") // at its start
	put(t, dir, "a.yaml", state("xdp_pass", "xdp_count"))
	a.until(t, "the files have been read", "")
	a.until(t, "changed, and taken back if the guard fails", "")
	since := time.Now() // which has a monotonic clock too
	harness.StepClock(t, time.Hour)
	a.changes(t, "confirmed", v.Name, "xdp_count xdp_pass")
	atLeast(t, "a change is confirmed", since, 500*time.Millisecond)
	a.end(t)
}
