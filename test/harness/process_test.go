package harness_test

import (
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/test/harness"
)

func TestProcess(t *testing.T) {
	harness.NoLeak(t)
	p := harness.Start(t, "sh", "-c", `trap 'echo end; exit 3' TERM; echo one; echo two; echo err >&2; while :; do sleep 0.01; done`)
	if one, two, err := p.Stdout.Line(t), p.Stdout.Line(t), p.Stderr.Line(t); one != "one" || two != "two" || err != "err" {
		t.Errorf("%q, %q, %q", one, two, err)
	}
	select {
	case <-p.Ended():
		t.Error("it has ended")
	default:
	}
	p.Signal(t, syscall.SIGTERM)
	p.End(t, 3)
	<-p.Ended()
	if all, err := p.Stdout.String(), p.Stderr.String(); all != "one\ntwo\nend\n" || err != "err\n" {
		t.Errorf("%q, %q", all, err)
	}
	if line := p.Stdout.Line(t); line != "end" {
		t.Errorf("%q", line)
	}
	p = harness.Start(t, "sleep", "1000")
	p.Signal(t, os.Kill)
	p.End(t, -1)
	harness.Start(t, "sleep", "1000") // killed at the end
}

// A process that reads is waited for, and what it then does is seen.
func TestProcessWaits(t *testing.T) {
	harness.NoLeak(t)
	cmd := exec.Command("cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := harness.StartCmd(t, cmd)
	p.WaitForCall(t, unix.SYS_READ, 0)
	n := 0
	line := p.Stdout.LineWhile(t, time.Millisecond, func() {
		if n++; n == 3 {
			_, _ = io.WriteString(stdin, "three\n")
		}
	})
	if line != "three" || n < 3 {
		t.Errorf("%q at the call %d", line, n)
	}
	stdin.Close()
	p.End(t, 0)
}
