package foreground

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/test/harness"
)

// Whatever signal would end the process, its program goes.
func TestEverySignal(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	const lastRealTime = syscall.Signal(64)
	for _, sig := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGUSR1, syscall.SIGALRM, syscall.SIGSEGV, syscall.SIGSYS, syscall.SIGPWR, lastRealTime} {
		p := start(t, "--interval", "50ms", v.Name, counting)
		p.Stop(t, sig)
		if p.Stderr.String() != "" {
			t.Errorf("%v: stderr %s", sig, p.Stderr)
		}
		expect(t, v, "")
	}
	// Several in a row don't kill it while it unloads.
	p := start(t, "--interval", "50ms", v.Name, counting)
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGCONT, syscall.SIGHUP, syscall.SIGTERM} {
		p.Signal(t, sig)
	}
	p.End(t, 0)
	expect(t, v, "")
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	for _, args := range [][]string{{from, "down"}, {from, "name", to}, {to, "up"}} {
		harness.MustRun(t, "ip", append([]string{"link", "set"}, args...)...)
	}
}

// If the interface is renamed, it is still the same. If another one gets its old name, that is
// another interface.
func TestRenamed(t *testing.T) {
	harness.NoLeak(t)
	for _, taken := range []bool{false, true} {
		v := harness.NewVeth(t)
		old, other := v.Name, v.Peer
		p := start(t, "--interval", "50ms", v.Name, counting)
		v.Name = "renamed"
		rename(t, old, v.Name)
		if taken {
			rename(t, other, old)
			harness.MustRun(t, harness.Xdpmux(), "load", old, pass)
		}
		p.total(t)
		p.Stop(t, syscall.SIGINT)
		if p.Stderr.String() != "" {
			t.Errorf("old name taken %v: stderr %s", taken, p.Stderr)
		}
		expect(t, v, "")
		if taken {
			expect(t, &harness.Veth{Name: old}, "xdp_pass")
			harness.MustRun(t, harness.Xdpmux(), "unload", "-a", old)
		}
		v.Close(t)
	}
}

// When the interface goes, nothing can be counted any more, and run ends.
func TestInterfaceGone(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	p := start(t, "--interval", "50ms", v.Name, counting)
	harness.MustRun(t, "ip", "link", "delete", v.Name)
	p.End(t, 1)
	want := "xdpmux: interface " + v.Name + " is gone from this network namespace, and program "
	if said := p.Stderr.String(); !strings.HasPrefix(said, want) || !strings.HasSuffix(said, "\n  xdpmux clean removes the pins that it has left\n") {
		t.Errorf("stderr %q, want %q", said, want)
	}
	harness.MustRun(t, harness.Xdpmux(), "clean")
}

// A terminal that goes away takes the program with it: the kernel says SIGHUP to the
// session, and writing fails.
func TestTerminalLost(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	for _, session := range []bool{true, false} {
		master, slave, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(harness.Xdpmux(), "run", "--interval", "50ms", v.Name, counting)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
		if session {
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		slave.Close()
		line := make([]byte, 100)
		if n, err := master.Read(line); err != nil || !bytes.HasPrefix(line[:n], []byte("total 0")) {
			t.Fatalf("%q, %v", line[:n], err)
		}
		expect(t, v, "xdp_drop_ipv6_count")
		master.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("session %v: %v", session, err)
		}
		expect(t, v, "")
	}
}

// A reader that doesn't read holds up the output, not the end.
func TestFullPipe(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(bytes.Repeat([]byte("x"), 4096)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(harness.Xdpmux(), "run", "--interval", "10ms", v.Name, counting)
	cmd.Stdout = w
	p := harness.StartCmd(t, cmd)
	w.Close()
	p.WaitForCall(t, unix.SYS_WRITE, 1)
	expect(t, v, "xdp_drop_ipv6_count")
	p.Signal(t, syscall.SIGINT)
	p.End(t, 1) // not all that it had to say was read
	if said := p.Stderr.String(); said != "xdpmux: interrupted\n" {
		t.Errorf("stderr %q", said)
	}
	expect(t, v, "")
	if n, err := io.Copy(io.Discard, r); err != nil || n != 4096 {
		t.Errorf("%d bytes in the pipe, %v", n, err)
	}
}

// While another process holds the lock of the chains, run waits for it at its end. A second
// Ctrl-C ends that wait, and run says what stays. It counts only a while after the first.
func TestGivesUpWaiting(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	p := start(t, "--interval", "50ms", v.Name, counting)
	chain := harness.Status(t, v.Name)
	unlock := harness.LockPins(t)
	signals := 0
	for waiting := true; waiting; signals++ {
		p.Signal(t, syscall.SIGINT)
		select {
		case <-p.Ended():
			waiting = false
		case <-time.After(200 * time.Millisecond):
		}
	}
	p.End(t, 1)
	want := fmt.Sprintf("interrupted: program %d stays loaded on %s\n  unload it: xdpmux unload %s -i %[1]d\n", chain.Programs[0].ID, v.Name, v.Name)
	if !strings.HasSuffix(p.Stderr.String(), want) || signals < 3 {
		t.Errorf("stderr %q after %d signals, want %q", p.Stderr, signals, want)
	}
	unlock()
	harness.MustRun(t, harness.Xdpmux(), "unload", "-a", v.Name)
}
