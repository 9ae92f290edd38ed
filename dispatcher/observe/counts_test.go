package observe

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strings"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/bpf"
	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
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

func TestTimesOfAllCPUs(t *testing.T) {
	value := make([]byte, 2*numWords*8)
	put := func(cpu, word int, n uint64) { binary.NativeEndian.PutUint64(value[(cpu*numWords+word)*8:], n) }
	put(0, wordTimed, 1<<32)
	put(1, wordTimed, 2)
	put(0, wordMax, 30)
	put(1, wordMax, 20)
	put(0, wordBucket, 4)
	put(1, wordBucket, 4)
	var times Times
	times.addDecoded(value)
	if times.Packets != 1<<32+2 || times.Max != 30 || times.buckets[0] != 8 {
		t.Errorf("got %+v", times)
	}
}

// A slot adds up its entries of all CPUs, and keeps apart what stands beside them.
func TestSlot(t *testing.T) {
	one := &table{bits: fewBits, cpus: 4, memory: make([]byte, 4<<fewBits*sizeofEntry), taken: make([]bool, 1<<fewBits), used: make([]bool, 1<<fewBits)}
	c := &counter{tables: []*table{one}}
	var slots []slot
	for _, ifindex := range []int{7, 7 + 1<<fewBits, 7 + 2<<fewBits} { // they lead to the same place
		s, err := c.slot(ifindex)
		if err != nil {
			t.Fatal(err)
		}
		slots = append(slots, s)
	}
	for cpu := range one.cpus {
		for i, s := range slots {
			s.open(cpu)
			s.entry(cpu).verdicts[xdp.Drop] = 1<<32 + uint64(i)
		}
	}
	for i, s := range slots {
		if want := (Verdicts{xdp.Drop: 4<<32 + 4*uint64(i)}); s.verdicts() != want || s.place != 7+i {
			t.Errorf("slot %d at %d: got %v, want %v", i, s.place, s.verdicts(), want)
		}
	}
	slots[1].free()
	if e := slots[1].entry(2); e.ifindex != 0 || slots[2].entry(2).ifindex == 0 {
		t.Errorf("a freed slot: %+v", e)
	}
}

func TestAttribute(t *testing.T) {
	r := raw{verdicts: Verdicts{1, 2, 4, 8, 16, 7}}
	r.odd[34], r.odd[31], r.odd[63] = 1, 2, 4
	passAndDrop := *xdp.On(xdp.Pass, xdp.Drop)
	for _, c := range []struct {
		name     string
		place    place
		handedOn uint64
	}{
		{"in the middle", place{actions: passAndDrop, shift: 6}, 2 + 4 + 2},
		{"shifts of 32 bits", place{actions: passAndDrop, shift: 5}, 2 + 4 + 1 + 2 + 4},
		// The dispatcher says XDP_PASS for what the last program hands on.
		{"last", place{actions: passAndDrop, shift: 6, last: true}, 2 + 2},
		{"alone", place{actions: passAndDrop, shift: 6, last: true, alone: true}, 0},
		{"legacy", place{alone: true}, 0},
	} {
		got := c.place.attribute(r)
		if got.HandedOn != c.handedOn || got.Decided != 38-c.handedOn || got.Packets != 38 {
			t.Errorf("%s: got %+v", c.name, got)
		}
	}
	// The detail was read later than the whole: it can't be more.
	r.odd[31] = 100
	if got := (place{shift: 6}).attribute(r); got.HandedOn != 7 || got.Decided != 31 {
		t.Errorf("got %+v", got)
	}
}

// openProbe opens the object of a probe, and loads nothing.
func openProbe(t *testing.T, name string) *libbpf.Object {
	t.Helper()
	data, err := bpf.Probe(name)
	if err != nil {
		t.Fatal(err)
	}
	obj, err := libbpf.OpenMem(data, libbpf.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { obj.Close() })
	return obj
}

// A call that fails ends neither the process nor the counts: they stay as they were, and
// the program is said not to be observed.
func TestUnreadable(t *testing.T) {
	obj := openProbe(t, "stats")
	broken := &table{probed: &probed{obj: obj, exit: obj.Programs()[0]}, latency: true, cpus: 1, memory: make([]byte, sizeofEntry)}
	s := slot{table: broken}
	s.entry(0).verdicts[xdp.Drop] = 7
	r := row{Program: Program{Loaded: xdp.Loaded{ID: 5}}, seen: &seen{counter: &counter{tables: []*table{broken}}, slots: []slot{s}, missed: 3}}
	r.base.Packets = 40
	p, _ := r.snapshot(true)
	if p.Blind == nil || p.Packets != 40 || p.Missed != 0 {
		t.Errorf("packets %d, missed %d, %v", p.Packets, p.Missed, p.Blind)
	}
}

// Only what came since a moment without loss is missing, and a number never goes down.
func TestGap(t *testing.T) {
	var g gap
	g.begin(pair{received: 1000, counted: 10})
	g.look(pair{1100, 110})
	g.look(pair{1200, 150}) // no swap: packets under way, or a driver that counts others too
	if g.missed() != 0 {
		t.Errorf("without a swap: %d", g.missed())
	}
	g.swapped()
	g.look(pair{1300, 250})
	g.look(pair{1300, 270}) // those were only under way
	if g.missed() != 60 {
		t.Errorf("in an open gap: %d", g.missed())
	}
	g.end()
	g.begin(pair{1300, 270})
	g.look(pair{1400, 370})
	if g.missed() != 60 {
		t.Errorf("afterwards: %d", g.missed())
	}
	// Packets without a pause: the driver has added up 90 of 100 when the gap ends.
	g.swapped()
	g.opened = g.opened.Add(-2 * longest)
	g.look(pair{1490, 440})
	if g.open || g.missed() != 80 {
		t.Errorf("after a long time: %d", g.missed())
	}
	h := g
	g.swapped()
	g.look(pair{1600, 540})
	if g.missed() != 90 {
		t.Errorf("in the next gap: %d", g.missed())
	}
	h.look(pair{1600, 540})
	if h.missed() != 90 || h.open {
		t.Errorf("what was under way: %d", h.missed())
	}
	h.look(pair{101_600, 540}) // a driver that counts others too
	if h.missed() != 80+underWay {
		t.Errorf("too many for what was under way: %d", h.missed())
	}
	h.from = h.from.Add(-rests)
	h.look(pair{101_600, 540})
	if h.missed() != 80+underWay || h.loose {
		t.Errorf("at the next rest: %d", h.missed())
	}
}

func TestShift(t *testing.T) {
	insn := func(code byte) []byte { return []byte{code, 0, 0, 0, 0, 0, 0, 0} }
	other := insn(0xb7)
	for code, want := range map[byte]uint{0x7f: 6, 0x6f: 6, 0x7c: 5, 0x6c: 5, 0xb7: 6} {
		if got := shiftIn(append(other, insn(code)...)); got != want {
			t.Errorf("%#x: %d bits, want %d", code, got, want)
		}
	}
}

// The types that probes read are found, and nothing is written for a kernel that lacks
// one of them. What libbpf makes of them is proven by the probes in test/observe.
func TestExtract(t *testing.T) {
	obj := openProbe(t, "packet")
	types, err := extract(obj.BTF())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"data_end", "rxq", "nd_net", "inum", "stack"} {
		if !bytes.Contains(types, []byte("\x00"+name+"\x00")) {
			t.Errorf("no %s in % x", name, types)
		}
	}
	wanted = append(wanted, struct {
		name   string
		fields []string
	}{"event", []string{"time", "no such field"}})
	defer func() { wanted = wanted[:len(wanted)-1] }()
	if _, err := extract(obj.BTF()); err == nil || !strings.Contains(err.Error(), "event has not all") {
		t.Errorf("got %v", err)
	}
}
