package faults

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/test/harness"
)

// TestSilentInput: the first signal ends a command that waits for input which doesn't come.
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
			command := append([]string{ours()}, args...)
			if slices.Contains(args, "-") {
				// Through the shell, which waits for a writer before it starts the command.
				command = append([]string{"sh", "-c", `exec "$@" <"$0"`, fifo}, command...)
			}
			p := harness.Start(t, command[0], command[1:]...)
			writer, err := os.OpenFile(fifo, os.O_WRONLY, 0) // when there is a reader
			must(t, err)
			defer writer.Close()
			if slices.Contains(args, "-") {
				p.WaitForCall(t, unix.SYS_READ, 0)
			}
			p.Signal(t, syscall.SIGTERM)
			p.End(t, 1)
			if said := p.Stderr.String(); said != "xdpmux: interrupted\n" {
				t.Errorf("it said %q", said)
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
			p := harness.StartCmd(t, cmd)
			w.Close()
			p.WaitForCall(t, unix.SYS_WRITE, 1, 2)
			p.Signal(t, syscall.SIGTERM)
			p.End(t, 1)
		})
	}
}

// TestCompletionOfFIFO: completion doesn't wait for a process that writes to a FIFO.
func TestCompletionOfFIFO(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	must(t, unix.Mkfifo(fifo, 0o600))
	for _, args := range [][]string{{"load", "lo", fifo, "-n", ""}, {"run", "lo", fifo, "--map", ""}} {
		if out := harness.MustRun(t, ours(), append([]string{"__complete"}, args...)...); out != "" {
			t.Errorf("%q: %s", args, out)
		}
	}
}
