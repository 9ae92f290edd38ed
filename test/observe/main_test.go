// Package observe tests stats, trace and top on a real kernel.
package observe

import (
	"context"
	"encoding/binary"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// xdpmux is the command that is tested.
var xdpmux = os.Getenv("XDPMUX")

const (
	steps   = "../../build/bpf/fixtures/steps.o"
	samples = "../../build/bpf/"
)

// step is program n of the fixture steps: its verdict is the packet's byte n. Run
// priority is n, and the chain goes on after these verdicts.
func step(n int, on ...xdp.Verdict) xdp.Program {
	return xdp.Program{File: steps, Name: "step" + string(rune('0'+n)), Priority: xdp.Prio(uint32(n) + 1), Actions: xdp.On(on...)}
}

// stepsOn is a chain of the first n steps, each of which goes on after XDP_PASS.
func stepsOn(t testing.TB, v *harness.Veth, n int) {
	t.Helper()
	var programs []xdp.Program
	for i := range n {
		programs = append(programs, step(i, xdp.Pass))
	}
	attach(t, v, programs...)
}

func attach(t testing.TB, v *harness.Veth, programs ...xdp.Program) []dispatcher.Component {
	t.Helper()
	a, err := dispatcher.Attach(context.Background(), v.Name, programs, dispatcher.AttachOptions{RequireDispatcher: true})
	if err != nil {
		t.Fatalf("attach: %v (%s)", err, dispatcher.VerifierLog(err))
	}
	return a.Programs
}

// packet says in its first bytes what each of the steps returns; the others pass.
func packet(verdicts ...xdp.Verdict) []byte {
	p := make([]byte, 64)
	for i := range p {
		p[i] = byte(xdp.Pass)
	}
	for i, v := range verdicts {
		p[i] = byte(v)
	}
	return p
}

// dispatcherOf opens what the interface's own program is.
func dispatcherOf(t testing.TB, v *harness.Veth) *libbpf.FD {
	t.Helper()
	c := harness.Status(t, v.Name)
	if c.Dispatcher == nil {
		t.Fatalf("no dispatcher on %s: %+v", v.Name, c)
	}
	fd, err := libbpf.ProgByID(c.Dispatcher.ID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fd.Close() })
	return fd
}

// testRun runs a program on a packet that many times. A signal would end the run
// early, and Go's scheduler sends some, so that the thread blocks them meanwhile.
// The packet comes in on v; nil: on none of the tests' interfaces.
func testRun(t testing.TB, v *harness.Veth, fd *libbpf.FD, packet []byte, repeat int) *libbpf.TestRunResult {
	t.Helper()
	opts := libbpf.TestRunOptions{Data: packet, Repeat: repeat}
	if v != nil {
		opts.Context = make([]byte, 24) // struct xdp_md
		binary.NativeEndian.PutUint32(opts.Context[4:], uint32(len(packet)))
		binary.NativeEndian.PutUint32(opts.Context[12:], uint32(v.Index))
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, old unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^uint64(0)
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &old); err != nil {
		t.Fatal(err)
	}
	r, err := libbpf.TestRun(fd.Int(), opts)
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatalf("test run: %v", err)
	}
	return r
}
