// Package agent runs xdpmux agent on a real kernel, beside native tools.
package agent

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// agent is one that runs, and the directory of its files.
type agent struct {
	*harness.Process
	dir string
}

// start starts an agent and waits until it has done what the files say.
func start(t *testing.T, dir string, args ...string) *agent {
	t.Helper()
	return startAs(t, nil, dir, args...)
}

// startAs is start by way of a program that takes a command.
func startAs(t *testing.T, as []string, dir string, args ...string) *agent {
	t.Helper()
	line := slices.Concat(as, []string{harness.Xdpmux(), "agent", "--state", dir, "--log", "json"}, args)
	a := &agent{harness.Start(t, line[0], line[1:]...), dir}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the agent said:\n%s", a.Stderr)
		}
	})
	return a
}

// record is a line of the agent's log.
type record struct {
	Msg, Interface, File, Done, Error, Remedy, Why, URL string
	Mended                                              bool
	Generation                                          int
}

// until waits for a line of the log whose message begins so, and is about that interface or file.
func (a *agent) until(t *testing.T, msg, about string) record {
	t.Helper()
	for {
		line := a.Stderr.Line(t)
		var r record
		if err := json.Unmarshal([]byte(line), &r); err == nil && strings.HasPrefix(r.Msg, msg) && (r.Interface == about || filepath.Base(r.File) == about || about == "") {
			return r
		}
	}
}

// put writes a state file whole, as editors do: beside, and renamed.
func put(t *testing.T, dir, name, text string) {
	t.Helper()
	tmp := filepath.Join(dir, "."+name+".tmp")
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// declare is what a file says that wants these samples on an interface.
func declare(t *testing.T, ifname string, samples ...string) string {
	t.Helper()
	var programs []string
	for _, name := range samples {
		object, err := filepath.Abs(harness.Sample(name))
		if err != nil {
			t.Fatal(err)
		}
		programs = append(programs, fmt.Sprintf("{name: %s, object: %s}", name, object))
	}
	return fmt.Sprintf("interfaces: [{name: '%s', programs: [%s]}]\n", ifname, strings.Join(programs, ", "))
}

// runs are the programs of an interface, with their ids: "12 xdp_pass; 13 xdp_drop".
func runs(t *testing.T, ifname string) string {
	t.Helper()
	chain := harness.Status(t, ifname)
	var all []string
	for _, p := range chain.Programs {
		all = append(all, fmt.Sprintf("%d %s", p.ID, p.Name))
	}
	return strings.Join(all, "; ")
}

// names are the programs of an interface without their ids.
func names(t *testing.T, ifname string) string {
	t.Helper()
	var all []string
	for _, p := range harness.Status(t, ifname).Programs {
		all = append(all, p.Name)
	}
	return strings.Join(all, " ")
}

// changes fails the test unless the agent changes the interface, and that runs these programs then.
func (a *agent) changes(t *testing.T, what, ifname, want string) record {
	t.Helper()
	r := a.until(t, "changed", ifname)
	check(t, what, ifname, want)
	return r
}

// check fails the test unless the interface runs these programs.
func check(t *testing.T, what, ifname, want string) {
	t.Helper()
	if got := names(t, ifname); got != want {
		t.Fatalf("%s: %s runs %q, want %q", what, ifname, got, want)
	}
}

// end has nothing run any more, as the files are gone, and ends the agent.
func (a *agent) end(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(a.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if err := os.RemoveAll(file); err != nil {
			t.Fatal(err)
		}
	}
	a.Signal(t, syscall.SIGHUP)
	a.until(t, "reloaded", "")
	a.Stop(t, syscall.SIGTERM)
}

// within fails the test if that took longer.
func within(t *testing.T, what string, since time.Time, limit time.Duration) {
	t.Helper()
	took := time.Since(since)
	t.Logf("%s after %v", what, took.Round(time.Millisecond))
	if took > limit {
		t.Errorf("%s after %v, want %v at most", what, took, limit)
	}
}

// atLeast fails the test if that took less.
func atLeast(t *testing.T, what string, since time.Time, limit time.Duration) {
	t.Helper()
	if took := time.Since(since); took < limit {
		t.Errorf("%s after %v, want %v at least", what, took, limit)
	}
}
