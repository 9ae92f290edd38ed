package harness

import (
	"io"
	"os"
	"os/exec"
	"testing"
)

// StartStraced starts a command under strace(1) with these options of that, and returns
// what strace writes, too. That begins a line when a system call begins.
func StartStraced(t testing.TB, options []string, command ...string) (p *Process, trace *Output) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	trace = NewOutput()
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer trace.close()
		defer r.Close()
		_, _ = io.Copy(trace, r)
	}()
	t.Cleanup(func() {
		w.Close()
		<-read
	})
	cmd := exec.Command("strace", append(append([]string{"-f", "-o", "/dev/fd/3"}, options...), command...)...)
	cmd.ExtraFiles = []*os.File{w}
	p = StartCmd(t, cmd)
	w.Close()
	return p, trace
}

// Strace runs a command under strace(1), which traces these calls and injects these faults
// ("bpf:error=ENOMEM:when=3"), to its end. The status is -1 if a signal was that.
func Strace(t testing.TB, calls string, faults []string, command ...string) (status int, output, trace string) {
	t.Helper()
	options := []string{"-e", "trace=" + calls}
	for _, fault := range faults {
		options = append(options, "-e", "inject="+fault)
	}
	p, all := StartStraced(t, options, command...)
	status = p.Wait(t)
	all.Until(t, func(string) bool { return false })
	return status, p.Stdout.String() + p.Stderr.String(), all.String()
}
