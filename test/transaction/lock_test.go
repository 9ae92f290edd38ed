package transaction

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/check"
	"github.com/xdpmux/xdpmux/dispatcher/inspect"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestLock holds the lock of the protocol: native and own changes wait for it and
// are made then. Who has no time to wait can end them.
func TestLock(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{fixture("verdicts", "v_pass")}})
	load := func(tool string) *exec.Cmd {
		return exec.Command(tool, "load", v.Name, fixture("verdicts", "").File, "-n", "v_drop")
	}
	for _, c := range []struct {
		name  string
		cmd   *exec.Cmd
		ended bool
	}{
		{"native", load(native), false},
		{"ours", load(harness.Xdpmux()), false},
		{"ours, ended", load(harness.Xdpmux()), true},
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

// holder is another process that holds the lock until it is released.
func holder(t *testing.T) (pid int, release func()) {
	t.Helper()
	// flock(1) runs the shell with the lock; flock itself is the process that took it.
	cmd := exec.Command("flock", "/sys/fs/bpf/xdp", "sh", "-c", "echo locked; read end")
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line := make([]byte, len("locked\n"))
	if _, err := io.ReadFull(out, line); err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() {
		in.Close()
		_ = cmd.Wait()
	})
	t.Cleanup(release)
	return cmd.Process.Pid, release
}

// TestLockEnds has every call that changes chains wait for the lock with an end: it says
// who holds that, and has changed nothing. What doesn't need the lock doesn't wait.
func TestLockEnds(t *testing.T) {
	harness.NoLeak(t)
	v, bare := harness.NewVeth(t), harness.NewVeth(t)
	pass := fixture("verdicts", "v_pass")
	id := commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{pass}}).Added[0].ID
	before := harness.Snapshot(t)
	pid, release := holder(t)
	programs := []xdp.Program{fixture("verdicts", "v_drop")}
	calls := map[string]func(context.Context) error{
		"add to a chain": func(ctx context.Context) error {
			_, err := dispatcher.Transaction{Add: programs}.Commit(ctx, v.Name)
			return err
		},
		"start a chain": func(ctx context.Context) error {
			_, err := dispatcher.Attach(ctx, bare.Name, programs, dispatcher.AttachOptions{})
			return err
		},
		"on both": func(ctx context.Context) error {
			_, err := dispatcher.AttachAll(ctx, []string{bare.Name, v.Name}, programs, dispatcher.AttachAllOptions{})
			return err
		},
		"remove":     func(ctx context.Context) error { return dispatcher.Detach(ctx, v.Name, id) },
		"remove all": func(ctx context.Context) error { return dispatcher.DetachAll(ctx, v.Name) },
		"clean": func(ctx context.Context) error {
			_, err := dispatcher.Clean(ctx, dispatcher.CleanOptions{})
			return err
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- call(ctx) }()
			select {
			case err := <-done:
				want := fmt.Sprintf("process %d (", pid)
				if !errors.Is(err, xdp.ErrBusy) || !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), want) {
					t.Errorf("error: %v, want %q", err, want)
				}
			case <-time.After(20 * time.Second):
				t.Error("it doesn't end")
				release()
				<-done
			}
		})
	}

	// While one waits for good, other calls of libxdp and libbpf go on.
	waiting, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- calls["start a chain"](waiting) }()
	waitForLock(t, os.Getpid())
	others := make(chan error, 1)
	go func() {
		_, err := inspect.Open(pass.File)
		_, statusErr := dispatcher.Status(t.Context(), v.Name)
		check.System(t.Context())
		dispatcher.SetLog(0, 0, nil)
		others <- errors.Join(err, statusErr)
	}()
	select {
	case err := <-others:
		must(t, err)
	case <-time.After(20 * time.Second):
		t.Error("others wait for who waits for the lock")
	}
	end()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}

	// The command says for whom it has waited.
	cmd := exec.Command(harness.Xdpmux(), "load", bare.Name, pass.File, "-n", "v_pass")
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	must(t, cmd.Start())
	waitForLock(t, cmd.Process.Pid)
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	if err := cmd.Wait(); err == nil || !strings.Contains(output.String(), fmt.Sprintf("xdpmux: interrupted: process %d (", pid)) {
		t.Errorf("%v\n%s", err, output.String())
	}
	release()
	before.Check(t)
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
