package transaction

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestCleanMeanwhile cleans while a native load has pinned its chain and has not put it on
// the interface yet: libxdp lets go of the lock between the two.
func TestCleanMeanwhile(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	guard := fixture("flood", "guard")
	commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{guard}})
	moments := 0
	for n := 1; ; n++ {
		cmd := exec.Command("strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=sendto", "-e", fmt.Sprintf("inject=sendto:delay_enter=1500000:when=%d", n),
			native, "load", v.Name, fixture("verdicts", "").File, "-n", "v_pass")
		var output strings.Builder
		cmd.Stdout, cmd.Stderr = &output, &output
		must(t, cmd.Start())
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		held := heldByStrace(t, cmd.Process.Pid, done)
		if held {
			dirs := len(glob(t, "/sys/fs/bpf/xdp/dispatch-*"))
			cleaned, err := dispatcher.Clean(t.Context(), dispatcher.CleanOptions{})
			must(t, err)
			if dirs > 1 {
				moments++
				if len(cleaned.Kept) != 1 || !strings.Contains(cleaned.Kept[0].Process, "("+native+")") {
					t.Errorf("cleaned %+v", cleaned)
				}
			}
		}
		if err := <-done; err != nil {
			t.Errorf("%v\n%s", err, output.String())
		}
		checkPins(t, v)
		if passed := v.Deliver(t, padded(frame(marked))); len(passed) != 0 {
			t.Error("a packet got past the guard")
		}
		must(t, dispatcher.Detach(t.Context(), v.Name, find(t, status(t, v.Name), "v_pass")))
		if !held {
			break
		}
	}
	if moments == 0 {
		t.Error("no load was held between its pins and the interface")
	}
	unload(t, v.Name)
}

// heldByStrace waits until strace holds what it traces for long; false: it has ended, and
// its result is in done.
func heldByStrace(t *testing.T, strace int, done chan error) bool {
	t.Helper()
	for !stopped(t, strace) {
		select {
		case err := <-done:
			done <- err
			return false
		default:
		}
	}
	return true
}

// stopped says whether strace holds a thread of what it traces for long. It does so for a
// moment at each call that it looks at, which with --seccomp-bpf are no others.
func stopped(t *testing.T, strace int) bool {
	t.Helper()
	for start := time.Now(); time.Since(start) < 300*time.Millisecond; time.Sleep(5 * time.Millisecond) {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", strace))
		if err != nil {
			return false // it has ended
		}
		found := false
		for _, child := range strings.Fields(string(children)) {
			for _, path := range glob(t, "/proc/"+child+"/task/*/status") {
				text, err := os.ReadFile(path)
				found = found || err == nil && strings.Contains(string(text), "State:\tt ")
			}
		}
		if !found {
			return false
		}
	}
	return true
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	must(t, err)
	return paths
}
