package agent

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/test/harness"
)

// TestNamed: whatever is wrong is named in the log, by the metrics and on the page, and what nothing
// has happened to goes on. What registries do is TestRegistry's.
func TestNamed(t *testing.T) {
	harness.NoLeak(t)
	fillState, fillRun := small(t, "/var/lib/xdpmux"), small(t, "/run/xdpmux")
	v, quiet := harness.NewVeth(t), harness.NewVeth(t)
	cleans(t)
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	put(t, dir, "guard.yaml", declare(t, quiet.Name, "xdp_drop"))
	put(t, dir, "a.yaml", declare(t, v.Name, "xdp_pass"))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("WATCHDOG_USEC", fmt.Sprint(time.Second.Microseconds())) // it looks four times a second
	a := start(t, dir, "--listen", taken.Addr().String())
	a.until(t, "nothing is served yet", "")
	a.changes(t, "started", v.Name, "xdp_pass")
	a.changes(t, "started", quiet.Name, "xdp_drop")
	guarded := runs(t, quiet.Name)
	taken.Close()
	url := a.until(t, "serving", "").URL
	add(t, "nm0")

	var file *os.File
	var empty func()
	for _, c := range []struct {
		what        string
		provoke     func()
		says        string // the log
		about       string // which interface or file
		figures     []string
		shows       string
		whatFollows func()
	}{
		{"an address in use", func() {}, "", "", []string{`listen_failures_total [1-9]\d*`}, "address already in use", nil},
		{"a file that is half written", func() {
			if file, err = os.Create(path("b.yaml")); err == nil {
				_, err = file.WriteString("interfaces: [")
			}
		}, "somebody writes to this file", "b.yaml", []string{`file_late{file="` + path("b.yaml") + `",why="writing"} 1`}, path("b.yaml") + ": somebody writes to it", nil},
		{"a broken file among good ones", func() { err = file.Close() }, "this file can't be used", "b.yaml",
			[]string{`file_broken{file="` + path("b.yaml") + `"} 1`, `errors_total{kind="invalid argument"} 1`}, path("b.yaml") + ":2:1: ", nil},
		{"a file that is removed", func() { err = os.Remove(path("b.yaml")) }, "the file is gone", "b.yaml", []string{`files 2`}, "<dt>Files</dt><dd>2</dd>", nil},
		{"two files about one interface", func() { put(t, dir, "c.yaml", declare(t, v.Name, "xdp_drop", "xdp_pass")) }, "the files contradict each other", v.Name,
			[]string{`interface{condition="failed",interface="` + v.Name + `"} 1`}, `two programs "xdp_pass"`, func() { err = os.Remove(path("c.yaml")) }},
		{"a clock that is set", func() { harness.StepClock(t, time.Hour) }, "the clock was set", "", []string{`clock_steps_total [1-9]`}, "<dt>Clock set</dt>", nil},
		{"an interface that is renamed", func() {
			put(t, dir, "d.yaml", declare(t, "nm*", "xdp_pass"))
			a.changes(t, "it comes", "nm0", "xdp_pass")
			rename(t, "nm0", "nm1")
		}, "the interface is called otherwise", "nm1", []string{`renames_total 1`, `interface{condition="as declared",interface="nm1"} 1`}, "<dt>Interfaces renamed</dt><dd>1</dd>", nil},
		{"a second agent", func() { harness.Run(t, harness.Xdpmux(), "agent", "--state", dir) }, "another agent was turned away", "",
			[]string{`others_refused_total 1`}, "<dt>Other agents turned away</dt><dd>1, the last: process ", nil},
		{"a full disk below /var/lib", func() {
			empty = fillState()
			put(t, dir, "a.yaml", declare(t, v.Name, "xdp_pass", "xdp_count")) // which isn't in the store yet
		}, "the history will not have all of it", "", []string{`unwritten{what="history"} 1`}, "no space left on device", func() { empty() }},
		{"a full disk below /run", func() {
			empty = fillRun()
			put(t, dir, "a.yaml", declare(t, v.Name, "xdp_pass", "xdp_drop"))
		}, "not changed", v.Name, []string{`unwritten{what="knowledge"} 1`, `interface{condition="failed",interface="` + v.Name + `"} 1`}, "/run/xdpmux", func() { empty() }},
		{"a directory that is gone", func() { err = os.Rename(dir, dir+"-away") }, "the files can't be read", "", []string{`files_unread 1`}, "The files can't be read: ",
			func() { err = os.Rename(dir+"-away", dir) }},
	} {
		t.Log(c.what)
		if c.provoke(); err != nil {
			t.Fatal(err)
		}
		if c.says != "" {
			a.until(t, c.says, c.about)
		}
		var scrape string
		if !harness.Eventually(func() bool {
			scrape = harness.Get(t, url+"/metrics")
			return !slices.ContainsFunc(c.figures, func(f string) bool { return !regexp.MustCompile("\nxdpmux_agent_" + f + "\n").MatchString(scrape) })
		}) {
			t.Errorf("%s: want %q in\n%s", c.what, c.figures, scrape)
		}
		shows(t, url+"/", c.shows)
		if now := runs(t, quiet.Name); now != guarded {
			t.Errorf("%s: what nothing has happened to ran %s and runs %s", c.what, guarded, now)
		}
		if c.whatFollows != nil {
			if c.whatFollows(); err != nil {
				t.Fatal(err)
			}
		}
	}
	a.end(t)
}
