package libbpf_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestRingBuffer reads the ring buffers of two programs, each with its own function.
func TestRingBuffer(t *testing.T) {
	harness.NoLeak(t)
	var programs, rings []int
	for range 2 {
		o := open(t, "../../build/bpf/fixtures/maps.o", libbpf.OpenOptions{})
		if err := o.Load(); err != nil {
			t.Fatal(err)
		}
		// The program writes to its ring buffer if there is an entry of key 0.
		if err := libbpf.MapUpdate(o.FindMap("large").FD(), make([]byte, 4), make([]byte, 8), libbpf.UpdateAny); err != nil {
			t.Fatal(err)
		}
		programs = append(programs, o.FindProgram("count_maps").FD())
		rings = append(rings, o.FindMap("a_ring").FD())
	}
	var got [2][]uint32
	read := func(i int) func([]byte) {
		return func(record []byte) { got[i] = append(got[i], binary.NativeEndian.Uint32(record)) }
	}
	r, err := libbpf.NewRingBuffer(rings[0], read(0))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Add(rings[1], read(1)); err != nil {
		t.Fatal(err)
	}
	if err := r.Add(-1, read(1)); !errors.Is(err, unix.EBADFD) {
		t.Errorf("a ring buffer that isn't one: %v", err)
	}
	ready := func(wait time.Duration) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(r.EpollFD()), Events: unix.POLLIN}}, int(wait.Milliseconds()))
		return n == 1 && err == nil
	}
	run := func(i int, port uint16) {
		t.Helper()
		if _, err := libbpf.TestRun(programs[i], libbpf.TestRunOptions{Data: harness.UDP4(harness.Flow{DstPort: port})}); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := r.Poll(0); n != 0 || err != nil || ready(0) {
		t.Errorf("before any record: %d, %v", n, err)
	}
	const limit = 10 * time.Second
	run(0, 7)
	if !ready(limit) {
		t.Error("there is a record, and the descriptor can't be read from")
	}
	run(1, 8)
	run(0, 9)
	if n, err := r.Consume(); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	run(1, 10)
	if n, err := r.Poll(limit); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if !slices.Equal(got[0], []uint32{7, 9}) || !slices.Equal(got[1], []uint32{8, 10}) {
		t.Errorf("%v", got)
	}
	if err := errors.Join(r.Close(), r.Close()); err != nil {
		t.Error(err)
	}
}
