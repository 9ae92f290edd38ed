package observe

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"time"
)

// written is a ring in the memory of the test, with what the kernel does with it.
type written struct{ *ring }

func newWritten() *written {
	return &written{&ring{consumed: new(atomic.Uint64), produced: new(atomic.Uint64), data: make([]byte, 1<<12), mask: 1<<12 - 1}}
}

// write adds a record, busy until done is called.
func (w *written) write(clock uint64) (done func()) {
	at := w.produced.Load()
	binary.NativeEndian.PutUint32(w.data[at:], 8|ringBusy)
	w.produced.Add(16)
	return func() {
		binary.NativeEndian.PutUint64(w.data[at+ringHeader:], clock)
		binary.NativeEndian.PutUint32(w.data[at:], 8)
	}
}

func TestRings(t *testing.T) {
	one, two := newWritten(), newWritten()
	r := &rings{each: []*ring{one.ring, two.ring}}
	read := func(limit int) (times []uint64) {
		r.read(limit, func(record []byte) { times = append(times, binary.NativeEndian.Uint64(record)) })
		return times
	}
	expect := func(what string, got []uint64, freeOne, freeTwo uint64, want ...uint64) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) || one.consumed.Load() != freeOne || two.consumed.Load() != freeTwo {
			t.Errorf("%s: %v, want %v; free %d and %d, want %d and %d", what, got, want, one.consumed.Load(), two.consumed.Load(), freeOne, freeTwo)
		}
	}
	expect("empty", read(math.MaxInt), 0, 0)

	// 6 came in an interrupt, before 9 had its time.
	for _, clock := range []uint64{2, 9, 6, 11} {
		one.write(clock)()
	}
	two.write(3)()
	late := two.write(7)
	two.write(8)()
	expect("7 is being written", read(math.MaxInt), 0, 0)
	one.write(5)() // of the next round
	late()
	expect("two at most", read(2), 16, 16, 2, 3)
	expect("9 is needed still", read(1), 16, 16, 6)
	expect("the rest", read(math.MaxInt), 64, 48, 7, 8, 9, 11)
	expect("the next round", read(math.MaxInt), 80, 48, 5)

	// What is later than the clock waits, and is in order with what comes.
	future := monotonic() + uint64(50*time.Millisecond)
	one.write(future + 1)()
	one.write(20)()
	expect("one in the future", read(math.MaxInt), 80, 48, 20)
	two.write(future)()
	var times []uint64
	if err := r.readUntil(future+1, func(record []byte) { times = append(times, binary.NativeEndian.Uint64(record)) }); err != nil {
		t.Fatal(err)
	}
	expect("both", times, 112, 64, future, future+1)
}

func TestUsualBuffer(t *testing.T) {
	for _, c := range []struct{ most, processors, want int }{
		{16, 1, 16}, {16, 2, 16}, {16, 4, 16}, {16, 6, 8}, {16, 8, 8}, {16, 16, 4}, {16, 64, 1}, {16, 256, 1}, {4, 1, 4}, {4, 16, 4}, {4, 32, 2}, {4, 1000, 1},
	} {
		if got := usualBuffer(c.most<<20, c.processors); got != c.want<<20 {
			t.Errorf("%d MiB on %d processors: %d MiB, want %d", c.most, c.processors, got>>20, c.want)
		}
	}
}
