package transaction

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/check"
	"github.com/xdpmux/xdpmux/dispatcher/inspect"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestLock holds the lock of the protocol. Changes of the native tool and ours wait for it, and
// are made then. A signal ends ours while it waits.
func TestLock(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{fixture("verdicts", "v_pass")}})
	for _, c := range []struct {
		name  string
		tool  string
		ended bool
	}{
		{"native", native, false},
		{"ours", harness.Xdpmux(), false},
		{"ours, ended", harness.Xdpmux(), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			unlock := harness.LockPins(t)
			before := status(t, v.Name)
			p := harness.Start(t, c.tool, "load", v.Name, fixture("verdicts", "").File, "-n", "v_drop")
			harness.WaitForLock(t, p.PID())
			if now := status(t, v.Name); !reflect.DeepEqual(before, now) {
				t.Errorf("changed without the lock: %+v", now)
			}
			if c.ended {
				p.Signal(t, syscall.SIGTERM)
				p.End(t, 1)
				unlock()
			} else {
				unlock()
				p.End(t, 0)
			}
			if changed := len(status(t, v.Name).Programs) > len(before.Programs); changed == c.ended {
				t.Errorf("changed: %t\n%s", changed, p.Stderr)
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
	p := harness.StartCmd(t, cmd)
	release = sync.OnceFunc(func() {
		in.Close()
		p.Wait(t)
	})
	t.Cleanup(release)
	p.Stdout.Line(t)
	return p.PID(), release
}

// TestLockEnds has every call that changes chains wait for the lock until its context ends. The
// call then says who holds the lock, and has changed nothing. Calls that don't need the lock
// don't wait.
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
		"remove":     func(ctx context.Context) error { return dispatcher.Detach(ctx, v.Name, id, dispatcher.DetachOptions{}) },
		"remove all": func(ctx context.Context) error { return dispatcher.DetachAll(ctx, v.Name, dispatcher.DetachOptions{}) },
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
	harness.WaitForLock(t, os.Getpid())
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
	p := harness.Start(t, harness.Xdpmux(), "load", bare.Name, pass.File, "-n", "v_pass")
	harness.WaitForLock(t, p.PID())
	p.Signal(t, syscall.SIGTERM)
	p.End(t, 1)
	if !strings.Contains(p.Stderr.String(), fmt.Sprintf("xdpmux: interrupted: process %d (", pid)) {
		t.Errorf("it said %s", p.Stderr)
	}
	release()
	before.Check(t)
	unload(t, v.Name)
}
