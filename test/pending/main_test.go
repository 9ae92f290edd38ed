// Package pending proves that a change which nobody confirms is taken back, whatever becomes
// of those who made it.
package pending

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/pending"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

const native = "xdp-loader"

var status = harness.Status

// object is the object of the programs that these tests load.
func object(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(harness.Fixture("verdicts"))
	must(t, err)
	return path
}

// chain makes the interface run n programs, each with a priority of its own, from 10 on.
func chain(t *testing.T, v *harness.Veth, n int) *dispatcher.Chain {
	t.Helper()
	if status(t, v.Name).MainID() != 0 {
		must(t, dispatcher.DetachAll(t.Context(), v.Name, dispatcher.DetachOptions{}))
	}
	var programs []xdp.Program
	for i := range n {
		programs = append(programs, xdp.Program{File: object(t), Name: "v_pass", Priority: xdp.Prio(uint32(10 * (i + 1)))})
	}
	if n > 0 {
		_, err := dispatcher.Transaction{Add: programs}.Commit(t.Context(), v.Name)
		must(t, err)
	}
	return status(t, v.Name)
}

// run runs xdpmux, which has to end with that exit status, and returns all that it says.
func run(t *testing.T, exit int, args ...string) string {
	t.Helper()
	stdout, stderr, status := harness.Run(t, harness.Xdpmux(), args...)
	if status != exit {
		t.Fatalf("xdpmux %s: exit status %d, want %d\n%s%s", strings.Join(args, " "), status, exit, stdout, stderr)
	}
	return stdout + stderr
}

// checkEnded fails the test unless nothing is pending and nothing is left of what was.
func checkEnded(t *testing.T, v *harness.Veth) {
	t.Helper()
	infos, err := pending.List()
	if err != nil || len(infos) > 0 {
		t.Errorf("pending: %+v, %v", infos, err)
	}
	harness.Eventually(func() bool { return nothingPending(t) }) // another process may be about to end it
	left, _ := filepath.Glob("/run/xdpmux/pending/*/*")
	kept, _ := filepath.Glob("/sys/fs/bpf/xdp/pending-*")
	if left = append(left, kept...); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	checkPins(t, v)
}

// checkPins fails the test unless the pins are those that libxdp would have for the chain.
func checkPins(t *testing.T, v *harness.Veth) {
	t.Helper()
	now := status(t, v.Name)
	if now.Problem != "" {
		t.Errorf("%s: %s", v.Name, now.Problem)
	}
	var want []string
	if now.Dispatcher != nil {
		want = append(want, fmt.Sprintf("/sys/fs/bpf/xdp/dispatch-%d-%d", v.Index, now.Dispatcher.ID))
	}
	have, _ := filepath.Glob(fmt.Sprintf("/sys/fs/bpf/xdp/dispatch-%d-*", v.Index))
	if strings.Join(have, " ") != strings.Join(want, " ") {
		t.Errorf("pins: %q, want %q", have, want)
	}
	for _, dir := range want {
		if files, _ := filepath.Glob(dir + "/*"); len(files) != 2*len(now.Programs) {
			t.Errorf("pins of %d programs: %q", len(now.Programs), files)
		}
	}
	if now.Version == 3 { // the installed xdp-loader reads version 2
		return
	}
	if a, b := harness.MustRun(t, harness.Xdpmux(), "status", v.Name), harness.MustRun(t, native, "status", v.Name); a != b {
		t.Errorf("xdpmux shows:\n%s\nxdp-loader shows:\n%s", a, b)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
