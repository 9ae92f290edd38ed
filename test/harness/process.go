package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a command that runs beside the test.
type Process struct {
	Stdout, Stderr *Output

	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended and its output is here
}

// Start starts a command. If it runs at the test's end still, it is killed then.
func Start(t testing.TB, name string, args ...string) *Process {
	t.Helper()
	return StartCmd(t, exec.Command(name, args...))
}

// StartCmd is Start for a command with settings of its own. If the command has an output set
// already, that isn't collected.
func StartCmd(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{Stdout: NewOutput(), Stderr: NewOutput(), cmd: cmd, ended: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = p.Stdout
	}
	if cmd.Stderr == nil {
		cmd.Stderr = p.Stderr
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // ProcessState tells
		p.Stdout.close()
		p.Stderr.close()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.ended
	})
	return p
}

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal. One that comes after the end changes nothing.
func (p *Process) Signal(t testing.TB, sig os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("%v to %s: %v", sig, p, err)
	}
}

// Pause returns when none of the process's threads runs any more. SIGCONT lets it go on.
func (p *Process) Pause(t testing.TB) {
	t.Helper()
	p.Signal(t, unix.SIGSTOP)
	// The kernel tells it when the last thread has stopped.
	if err := unix.Waitid(unix.P_PID, p.PID(), nil, unix.WSTOPPED, nil); err != nil {
		t.Fatalf("%s doesn't stop: %v", p, err)
	}
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// WaitForCall waits until a thread of the process waits in read(2), write(2) or another
// system call on one of these descriptors.
func (p *Process) WaitForCall(t testing.TB, number int, fds ...int) {
	t.Helper()
	tasks := fmt.Sprintf("/proc/%d/task", p.PID())
	waits := func() bool {
		threads, err := os.ReadDir(tasks)
		if err != nil {
			t.Fatal(err)
		}
		for _, thread := range threads {
			var call, fd int
			text, err := os.ReadFile(filepath.Join(tasks, thread.Name(), "syscall"))
			if err == nil {
				_, err = fmt.Sscanf(string(text), "%d 0x%x ", &call, &fd)
			}
			if err == nil && call == number && slices.Contains(fds, fd) {
				return true
			}
		}
		return false
	}
	if Eventually(waits) {
		return
	}
	t.Fatalf("%s doesn't wait in call %d on %v\n%s%s", p, number, fds, p.Stdout, p.Stderr)
}

// Wait waits for the end, and returns the exit status, -1 after the end by a signal.
func (p *Process) Wait(t testing.TB) (status int) {
	t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("%s doesn't end\n%s%s", p, p.Stdout, p.Stderr)
		return 0
	}
}

// End waits for the end, which has to be with that exit status.
func (p *Process) End(t testing.TB, status int) {
	t.Helper()
	if got := p.Wait(t); got != status {
		t.Errorf("%s: %v, want exit status %d\n%s%s", p, p.cmd.ProcessState, status, p.Stdout, p.Stderr)
	}
}

// Stop sends a signal that the process has to end well by.
func (p *Process) Stop(t testing.TB, sig os.Signal) {
	t.Helper()
	p.Signal(t, sig)
	p.End(t, 0)
}

func (p *Process) String() string { return strings.Join(p.cmd.Args, " ") }

// Output is what a process writes to one of its outputs.
type Output struct {
	mu    sync.Mutex
	text  strings.Builder
	lines int           // bytes that Line has returned
	end   bool          // nothing more comes
	more  chan struct{} // closed when something comes
}

// NewOutput is an output to which nothing has been written.
func NewOutput() *Output { return &Output{more: make(chan struct{})} }

// Write is for the process.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.more)
	o.more = make(chan struct{})
	return o.text.Write(p)
}

func (o *Output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.end = true
	close(o.more)
}

// String is all that was written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Until waits until ok returns true of all that was written. It returns false if the output ends
// before that.
func (o *Output) Until(t testing.TB, ok func(all string) bool) bool {
	t.Helper()
	for limit := time.After(patience); ; {
		o.mu.Lock()
		all, end, more := o.text.String(), o.end, o.more
		o.mu.Unlock()
		if ok(all) {
			return true
		}
		if end {
			return false
		}
		select {
		case <-more:
		case <-limit:
			t.Fatalf("nothing more within %v:\n%s", patience, all)
		}
	}
}

// Line waits for the next line and returns it without its end.
func (o *Output) Line(t testing.TB) string {
	t.Helper()
	return o.LineWhile(t, patience, func() {})
}

// LineWhile is Line, and calls f meanwhile: first of all, and again whenever there was no line
// for the time of a pause.
func (o *Output) LineWhile(t testing.TB, pause time.Duration, f func()) string {
	t.Helper()
	for limit := time.Now().Add(patience); time.Now().Before(limit); {
		f()
		for wait := time.After(pause); wait != nil; {
			line, ok, more := o.next()
			if ok {
				return line
			}
			if more == nil {
				t.Fatalf("the output ends without a line:\n%s", o)
			}
			select {
			case <-more:
			case <-wait:
				wait = nil
			}
		}
	}
	t.Fatalf("no line within %v:\n%s", patience, o)
	return ""
}

// next takes the next line. If there is none, more is closed when something comes. It is nil if
// nothing comes any more.
func (o *Output) next() (line string, ok bool, more <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	line, _, ok = strings.Cut(o.text.String()[o.lines:], "\n")
	if ok {
		o.lines += len(line) + 1
		return line, true, nil
	}
	if o.end {
		return "", false, nil
	}
	return "", false, o.more
}
