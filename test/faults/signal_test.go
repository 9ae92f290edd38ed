package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/test/harness"
)

// ends says whether a process that got a signal ends by itself, and kills it if not.
func ends(t *testing.T, cmd *exec.Cmd) bool {
	t.Helper()
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	_ = cmd.Wait()
	return cmd.ProcessState.Exited()
}

// TestSilentInput: the first signal ends a command that waits for one who doesn't write.
func TestSilentInput(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	must(t, unix.Mkfifo(fifo, 0o600))
	for _, args := range [][]string{
		{"inspect", fifo},
		{"inspect", "-"},
		{"load", v.Name, fifo},
		{"load", v.Name, fifo, pass, "--map-size", "flows=1"},
		{"replace", v.Name, fifo, "-i", "1"},
		{"run", v.Name, fifo},
		{"plan", "-f", fifo},
		{"plan", "-f", "-"},
		{"apply", fifo},
		{"apply", "-"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			var stderr strings.Builder
			cmd := exec.Command(ours(), args...)
			cmd.Stderr = &stderr
			if slices.Contains(args, "-") {
				// Through the shell, which waits for a writer before it starts the command.
				cmd = exec.Command("sh", append([]string{"-c", `exec "$@" <"$0"`, fifo, ours()}, args...)...)
				cmd.Stderr = &stderr
			}
			must(t, cmd.Start())
			writer, err := os.OpenFile(fifo, os.O_WRONLY, 0) // when there is a reader
			must(t, err)
			defer writer.Close()
			if slices.Contains(args, "-") {
				waitForCall(t, cmd.Process.Pid, unix.SYS_READ, 0)
			}
			if !ends(t, cmd) || stderr.String() != "xdpmux: interrupted\n" {
				t.Errorf("%v, %s", cmd.ProcessState, stderr.String())
			}
		})
	}
}

// TestFullOutput: the first signal ends a command whose output nobody reads any more.
func TestFullOutput(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	chain(t, v, strings.Fields(strings.Repeat(pass+" ", 10))...)
	many := slices.Repeat([]string{pass}, 40)
	absent := make([]string, 100)
	for i := range absent {
		absent[i] = "absent.o"
	}
	for _, args := range [][]string{
		append([]string{"inspect"}, many...),
		append([]string{"inspect", "--json"}, many...),
		append([]string{"inspect"}, absent...), // only errors
		{"status", "--json"},
		{"help"},
		{"man"},
		{"completion", "bash"},
	} {
		t.Run(strings.Join(args[:min(2, len(args))], " "), func(t *testing.T) {
			r, w, err := os.Pipe()
			must(t, err)
			defer r.Close()
			_, err = unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096)
			must(t, err)
			// What a page has room for isn't enough for any of them.
			_, err = w.Write(make([]byte, 4000))
			must(t, err)
			cmd := exec.Command(ours(), args...)
			cmd.Stdout, cmd.Stderr = w, w
			must(t, cmd.Start())
			w.Close()
			waitForCall(t, cmd.Process.Pid, unix.SYS_WRITE, 1, 2)
			if !ends(t, cmd) || cmd.ProcessState.ExitCode() != 1 {
				t.Errorf("%v", cmd.ProcessState)
			}
		})
	}
}

// TestCompletionOfFIFO: who presses the tab key doesn't wait for one who writes.
func TestCompletionOfFIFO(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	must(t, unix.Mkfifo(fifo, 0o600))
	for _, args := range [][]string{{"load", "lo", fifo, "-n", ""}, {"run", "lo", fifo, "--map", ""}} {
		if out := harness.MustRun(t, ours(), append([]string{"__complete"}, args...)...); out != "" {
			t.Errorf("%q: %s", args, out)
		}
	}
}

// waitForCall waits until a thread of a process waits in read(2) or write(2) on one of
// these descriptors.
func waitForCall(t *testing.T, pid, number int, fds ...int) {
	t.Helper()
	for tasks := fmt.Sprintf("/proc/%d/task", pid); ; time.Sleep(time.Millisecond) {
		threads, err := os.ReadDir(tasks)
		must(t, err)
		for _, thread := range threads {
			var call, fd int
			text, err := os.ReadFile(filepath.Join(tasks, thread.Name(), "syscall"))
			if err == nil {
				_, err = fmt.Sscanf(string(text), "%d 0x%x ", &call, &fd)
			}
			if err == nil && call == number && slices.Contains(fds, fd) {
				return
			}
		}
	}
}
