package transaction

import (
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/test/kernel"
)

// TestLock holds the lock of the protocol: native and own changes wait for it and
// are made then. Who has no time to wait can end them.
func TestLock(t *testing.T) {
	kernel.NoLeak(t)
	v := kernel.NewVeth(t)
	commit(t, v.Name, dispatcher.Transaction{Add: []dispatcher.Program{fixture("verdicts", "v_pass")}})
	load := func(tool string) *exec.Cmd {
		return exec.Command(tool, "load", v.Name, fixture("verdicts", "").File, "-n", "v_drop")
	}
	for _, c := range []struct {
		name  string
		cmd   *exec.Cmd
		ended bool
	}{
		{"native", load(native), false},
		{"ours", load(kernel.Xdpmux()), false},
		{"ours, ended", load(kernel.Xdpmux()), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			lock, err := unix.Open("/sys/fs/bpf/xdp", unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := unix.Flock(lock, unix.LOCK_EX); err != nil {
				t.Fatal(err)
			}
			before := status(t, v.Name)
			var output strings.Builder
			c.cmd.Stdout, c.cmd.Stderr = &output, &output
			if err := c.cmd.Start(); err != nil {
				t.Fatal(err)
			}
			waitForLock(t, c.cmd.Process.Pid)
			if now := status(t, v.Name); !reflect.DeepEqual(before, now) {
				t.Errorf("changed without the lock: %+v", now)
			}
			if c.ended {
				// The first signal is a request; the second one, whenever that is, kills.
				done := make(chan error, 1)
				go func() { done <- c.cmd.Wait() }()
				for err = nil; err == nil; {
					_ = c.cmd.Process.Signal(syscall.SIGTERM)
					select {
					case err = <-done:
					case <-time.After(10 * time.Millisecond):
					}
				}
				unix.Close(lock)
			} else {
				unix.Close(lock)
				err = c.cmd.Wait()
			}
			changed := len(status(t, v.Name).Programs) > len(before.Programs)
			if changed == c.ended || changed != (err == nil) {
				t.Errorf("%v, changed: %t\n%s", err, changed, output.String())
			}
			checkPins(t, v)
		})
	}
	unload(t, v.Name)
}

// waitForLock returns when the process waits for a lock. The kernel tells nobody, so
// this asks again and again.
func waitForLock(t *testing.T, pid int) {
	t.Helper()
	waits := regexp.MustCompile(fmt.Sprintf(`-> FLOCK +ADVISORY +WRITE %d `, pid))
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		locks, err := os.ReadFile("/proc/locks")
		if err != nil {
			t.Fatal(err)
		}
		if waits.Match(locks) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d doesn't wait:\n%s", pid, locks)
		}
	}
}
