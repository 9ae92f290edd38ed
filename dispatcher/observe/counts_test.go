package observe

import (
	"encoding/binary"
	"math/bits"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher"
)

// bucketOf is bucket_of of bpf/probe/stats.bpf.c, said in another way.
func bucketOf(ns uint64) int {
	high := bits.Len64(ns) - 1
	if high < octaveBits {
		return int(ns)
	}
	return high*8 + int(ns>>(high-3))%8
}

func TestBuckets(t *testing.T) {
	for _, ns := range []uint64{0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 100, 1000, 1 << 20, 1<<32 - 1} {
		i := bucketOf(ns)
		if start, end := bucketStart(i), bucketStart(i+1); time.Duration(ns) < start || time.Duration(ns) >= end {
			t.Errorf("%d ns is in bucket %d, from %d to %d", ns, i, start, end)
		}
	}
}

func TestTimes(t *testing.T) {
	var times Times
	for ns := uint64(1); ns <= 1000; ns++ {
		times.Packets++
		times.Total += time.Duration(ns)
		times.Max = time.Duration(ns)
		times.buckets[bucketOf(ns)]++
	}
	if times.Mean() != 500 || times.Quantile(1) != 1000 || times.AtMost(64) != 63 || times.AtMost(1<<20) != 1000 {
		t.Errorf("mean %d, max %d, at most 64: %d, at most 2^20: %d", times.Mean(), times.Quantile(1), times.AtMost(64), times.AtMost(1<<20))
	}
	for _, part := range []float64{.5, .9, .99} {
		exact := part * 1000
		if got := float64(times.Quantile(part)); got < exact || got > exact*9/8+1 {
			t.Errorf("quantile %v: got %v, exact %v", part, got, exact)
		}
	}
	if got := new(Times).Quantile(.5); got != 0 {
		t.Errorf("quantile of nothing: %v", got)
	}
}

func TestDecodeSumsCPUs(t *testing.T) {
	value := make([]byte, 2*numWords*8)
	put := func(cpu, word int, n uint64) { binary.NativeEndian.PutUint64(value[(cpu*numWords+word)*8:], n) }
	put(0, int(dispatcher.Drop), 1)
	put(1, int(dispatcher.Drop), 2)
	put(1, Other, 5)
	put(0, wordMax, 30)
	put(1, wordMax, 20)
	put(0, wordBucket, 4)
	put(1, wordBucket, 4)
	r := decode(value)
	if r.verdicts != (Verdicts{0, 3, 0, 0, 0, 5}) || r.times.Max != 30 || r.times.buckets[0] != 8 {
		t.Errorf("got %v, max %v, bucket %d", r.verdicts, r.times.Max, r.times.buckets[0])
	}
}

func TestAttribute(t *testing.T) {
	r := raw{verdicts: Verdicts{1, 2, 4, 8, 16, 32}, otherOn: 3}
	passAndDrop := *dispatcher.On(dispatcher.Pass, dispatcher.Drop)
	for _, c := range []struct {
		name     string
		place    place
		handedOn uint64
		final    Verdicts
	}{
		{"in the middle", place{actions: passAndDrop}, 2 + 4 + 3, Verdicts{1, 0, 0, 8, 16, 29}},
		// The dispatcher says XDP_PASS for what the last program hands on.
		{"last", place{actions: passAndDrop, last: true}, 2 + 3, Verdicts{1, 0, 4 + 2 + 3, 8, 16, 29}},
		{"alone", place{actions: passAndDrop, last: true, alone: true}, 0, r.verdicts},
		{"legacy", place{alone: true}, 0, r.verdicts},
	} {
		got, final := c.place.attribute(r)
		if got.HandedOn != c.handedOn || got.Decided != 63-c.handedOn || got.Packets != 63 || final != c.final {
			t.Errorf("%s: got %+v, final %v", c.name, got, final)
		}
	}
}
