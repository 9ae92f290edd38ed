package observe

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Verdicts are numbers of packets by the verdict that they got, as in v[xdp.Drop]. What was no
// verdict is at [Other].
type Verdicts [6]uint64

// Other is the place in [Verdicts] of numbers that are no verdict. The kernel treats them as
// XDP_ABORTED.
const Other = 5

// VerdictNames are the names of the places in [Verdicts].
func VerdictNames() []string { return append(slices.Clone(xdp.VerdictNames()), "other") }

// Sum is the number of all packets.
func (v Verdicts) Sum() uint64 {
	var sum uint64
	for _, n := range v {
		sum += n
	}
	return sum
}

func (v *Verdicts) add(w Verdicts) {
	for i := range v {
		v[i] += w[i]
	}
}

func (v *Verdicts) sub(w Verdicts) {
	for i := range v {
		v[i] -= w[i]
	}
}

// raw is what a probe has counted for an interface, summed over the CPUs.
type raw struct {
	verdicts Verdicts
	odd      [1 << oddBits]uint64 // the other verdicts, by their lowest bits
	times    Times
}

// oddBits is how many bits of a verdict a dispatcher of libxdp shifts by: it is
// compiled to a shift of 64 bits.
const oddBits = 6

func (r *raw) sub(s raw) {
	r.verdicts.sub(s.verdicts)
	for i := range r.odd {
		r.odd[i] -= s.odd[i]
	}
	r.times.sub(s.times)
}

// Times are durations of a program's runs.
type Times struct {
	Packets uint64        // whose time was taken
	Total   time.Duration // of all
	Max     time.Duration

	buckets [numBuckets]uint64 // by bucketStart
}

// The layout of struct times in bpf/probe/stats.h, in words of 8 bytes.
const (
	octaveBits = 3
	numBuckets = 32 << octaveBits

	wordTimed  = 0
	wordTotal  = 1
	wordMax    = 2
	wordBucket = 3
	numWords   = wordBucket + numBuckets
)

// addDecoded adds a struct times of each CPU.
func (t *Times) addDecoded(value []byte) {
	for ; len(value) >= numWords*8; value = value[numWords*8:] {
		word := func(i int) uint64 { return binary.NativeEndian.Uint64(value[i*8:]) }
		t.Packets += word(wordTimed)
		t.Total += time.Duration(word(wordTotal))
		t.Max = max(t.Max, time.Duration(word(wordMax)))
		for i := range t.buckets {
			t.buckets[i] += word(wordBucket + i)
		}
	}
}

// Mean is the mean time of a run, 0 without any.
func (t *Times) Mean() time.Duration {
	if t.Packets == 0 {
		return 0
	}
	return t.Total / time.Duration(t.Packets)
}

// Quantile is the time within which that part of the runs, from 0 to 1, ended. It is at most
// an eighth too long, and never longer than Max. Without any run it is 0.
func (t *Times) Quantile(part float64) time.Duration {
	if t.Packets == 0 {
		return 0
	}
	rank := uint64(math.Ceil(part * float64(t.Packets)))
	var seen uint64
	for i, n := range t.buckets {
		if seen += n; n > 0 && seen >= rank {
			return min(bucketStart(i+1)-1, t.Max)
		}
	}
	return t.Max
}

// AtMost is the number of runs that took no longer than d. It is as accurate as the buckets
// are: exact if d is a nanosecond below a power of two.
func (t *Times) AtMost(d time.Duration) uint64 {
	var n uint64
	for i := 0; i < numBuckets && bucketStart(i+1) <= d; i++ {
		n += t.buckets[i]
	}
	return n
}

func (t *Times) add(u Times) {
	t.Packets += u.Packets
	t.Total += u.Total
	t.Max = max(t.Max, u.Max)
	for i := range t.buckets {
		t.buckets[i] += u.buckets[i]
	}
}

// sub leaves Max, the longest of all.
func (t *Times) sub(u Times) {
	t.Packets -= u.Packets
	t.Total -= u.Total
	for i := range t.buckets {
		t.buckets[i] -= u.buckets[i]
	}
}

// bucketStart is the shortest time in a bucket: what bucket_of in
// bpf/probe/stats.bpf.c counts there.
func bucketStart(i int) time.Duration {
	if i < 1<<octaveBits {
		return time.Duration(i)
	}
	high := i >> octaveBits
	if high < octaveBits {
		return 1 << octaveBits // no time falls between 8 and the third octave
	}
	rest := i & (1<<octaveBits - 1)
	return time.Duration(1<<octaveBits|rest) << (high - octaveBits)
}
