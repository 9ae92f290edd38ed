package observe

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// attachBarest attaches the barest counter to a program.
func attachBarest(t *testing.T, p xdp.Loaded) (leave func() error, err error) {
	t.Helper()
	target, err := libbpf.ProgByID(p.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	obj, err := libbpf.OpenFile("../../build/bpf/fixtures/barest.o", libbpf.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	counter := obj.Programs()[0]
	if err := errors.Join(counter.SetAttachTarget(target.Int(), p.Name), obj.Load()); err != nil {
		t.Fatal(err)
	}
	link, err := libbpf.TraceAttach(counter.FD())
	if err != nil {
		return nil, errors.Join(err, obj.Close())
	}
	return func() error { return errors.Join(link.Close(), obj.Close()) }, nil
}

// crowd attaches tracing programs to a program until the kernel takes no more.
func crowd(t *testing.T, p xdp.Loaded) (leave func()) {
	t.Helper()
	var closes []func() error
	leave = func() {
		for _, f := range closes {
			f()
		}
		closes = nil
	}
	t.Cleanup(leave)
	for range 100 {
		f, err := attachBarest(t, p)
		if errors.Is(err, unix.E2BIG) {
			return leave
		}
		if err != nil {
			t.Fatal(err)
		}
		closes = append(closes, f)
	}
	t.Fatal("the kernel takes any number of observers")
	return nil
}

// If a program has too many observers, stats says so, and observes it as soon as others have let
// go.
func TestTooManyObservers(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 2)
	second := harness.Status(t, v.Name).Programs[1].Loaded
	leave := crowd(t, second)
	o := open(t, observe.Options{}, v.Name)
	defer o.Close()
	p := rowOf(t, o.Read().Chains[0], second.ID)
	var why *xdp.Error
	if !errors.As(p.Blind, &why) || !strings.Contains(why.Msg, "too many observers") || !strings.Contains(why.Remedy, "end another observer") {
		t.Fatalf("step1: %v", p.Blind)
	}
	if _, err := observe.OpenLive(context.Background(), []string{v.Name}, observe.LiveOptions{}); err == nil || !strings.Contains(err.Error(), "too many observers") {
		t.Errorf("trace: %v", err)
	}
	leave()
	if !harness.Eventually(func() bool { return rowOf(t, o.Read().Chains[0], second.ID).Blind == nil }) {
		t.Fatalf("still: %v", rowOf(t, o.Read().Chains[0], second.ID).Blind)
	}
	before := rowOf(t, o.Read().Chains[0], second.ID).Packets
	testRun(t, v, dispatcherOf(t, v), packet(), 7)
	if p := rowOf(t, o.Read().Chains[0], second.ID); p.Packets != before+7 {
		t.Errorf("%d packets, and then %d", before, p.Packets)
	}
}

// The kernel leaves out a run of a probe that runs already, and missed counts these. To get such
// runs, the test makes test runs while interrupts bring packets to the same processor. From 6.11
// on, a test run keeps such packets waiting, and nothing is left out.
func TestRecursionMisses(t *testing.T) {
	harness.NoLeak(t)
	if runtime.NumCPU() < 2 {
		t.Fatal("this takes two processors")
	}
	v := harness.NewVeth(t)
	steering := filepath.Join("/sys/class/net", v.Name, "queues/rx-0/rps_cpus")
	if err := os.WriteFile(steering, []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	// In this mode a packet runs the program on the processor that it is steered to.
	if _, err := dispatcher.Attach(context.Background(), v.Name, []xdp.Program{step(0, xdp.Pass), step(1, xdp.Pass)},
		dispatcher.AttachOptions{Mode: xdp.ModeSKB, RequireDispatcher: true}); err != nil {
		t.Fatal(err)
	}
	o := open(t, observe.Options{Latency: true}, v.Name)
	defer o.Close()
	d := dispatcherOf(t, v)
	s := send(t, v, time.Millisecond, mixFrame(), mixFrame(), mixFrame(), mixFrame())
	runs := uint64(0)
	var missed uint64
	interrupts := harness.KernelBefore(t, "6.11")
	limit := 2 * time.Second
	if interrupts {
		limit = 20 * time.Second
	}
	for deadline := time.Now().Add(limit); missed == 0 && time.Now().Before(deadline); {
		on(t, 0, func() { testRun(t, v, d, packet(), 20_000) })
		runs += 20_000
		missed = o.Read().Chains[0].Programs[0].Missed
	}
	sent := 4 * s.finish(t)
	for _, p := range o.Read().Chains[0].Programs {
		if p.Packets+p.Missed != sent+runs {
			t.Errorf("%s: %d packets and %d missed of %d", p.Name, p.Packets, p.Missed, sent+runs)
		}
		missed += p.Missed
	}
	t.Logf("%d test runs, %d packets, %d missed", runs, sent, missed)
	if interrupts == (missed == 0) {
		t.Error("nothing was missed: no packet interrupted a probe")
	}
}

// on calls f on one processor.
func on(t *testing.T, cpu int, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		var one unix.CPUSet
		one.Set(cpu)
		err := unix.SchedSetaffinity(0, &one)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// Observers come and go, and leave nothing.
func TestOpenClose(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 2)
	s := send(t, v, 2*time.Millisecond, mixFrame(), mixFrame(xdp.Drop))
	for i := range harness.Scaled(500, 15) {
		o := open(t, observe.Options{Latency: i%2 == 0}, v.Name)
		read := make(chan *observe.Snapshot)
		go func() { read <- o.Read() }()
		if i%3 == 0 {
			<-read
		}
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
		if i%3 != 0 {
			<-read
		}
	}
	s.finish(t)
}
