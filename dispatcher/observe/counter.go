package observe

import (
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// counters are the stats probes of an Observer. There is one for each program, however many
// interfaces run it: the kernel takes only a few probes on a program, and each of them costs
// every packet.
type counters struct {
	cpus    int
	netns   uint32 // inode of the network namespace whose interfaces are observed
	latency bool
	shared  map[uint32]*counter // by program id
}

func newCounters(netns *os.File, latency bool) (*counters, error) {
	cpus, err := libbpf.NumPossibleCPUs()
	if err != nil {
		return nil, err
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(netns.Fd()), &stat); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	return &counters{cpus: cpus, netns: uint32(stat.Ino), latency: latency, shared: map[uint32]*counter{}}, nil
}

// counter counts what one program does, by ingress interface.
type counter struct {
	all    *counters
	of     xdp.Loaded
	in     *dispatcher.Chain // the last one that was seen to have it
	whole  bool              // of a dispatcher, which belongs to one interface
	tables []*table
	users  int
}

// entry is struct entry of bpf/probe/stats.h. It lies in memory that the probes
// write: its numbers are read and written atomically.
type entry struct {
	verdicts Verdicts
	dev      uint64
	ifindex  uint32
	place    uint32
}

const (
	sizeofEntry = 64

	// NEAR, FEW and MANY of bpf/probe/stats.h, and what goes beyond.
	near     = 4
	fewBits  = 6
	manyBits = 10
	mostBits = 16
)

// table is an attached stats probe with its table of entries for each CPU.
type table struct {
	*probed
	bits    int
	latency bool
	memory  []byte // the map counts
	cpus    int
	taken   []bool // places in the table
	used    []bool // before
}

// get returns the counter of a program of the chain for one more user, of so many interfaces.
func (cs *counters) get(in *dispatcher.Chain, p xdp.Loaded, interfaces int) (*counter, error) {
	c := cs.shared[p.ID]
	if c == nil {
		c = &counter{all: cs, of: p, in: in}
		size := fewBits
		if 4*interfaces > 1<<fewBits { // a packet looks at a few places only, and a full table has none of them free
			size = manyBits
		}
		if err := c.grow(size); err != nil {
			return nil, err
		}
		cs.shared[p.ID] = c
	}
	c.users++
	return c, nil
}

// ofDispatcher returns a counter of all packets of the chain, whose dispatcher is d.
func (cs *counters) ofDispatcher(in *dispatcher.Chain, d xdp.Loaded) (*counter, error) {
	c := &counter{all: cs, of: d, in: in, whole: true, users: 1}
	return c, c.grow(0)
}

// put lets go of what get or ofDispatcher returned.
func (c *counter) put() {
	if c.users--; c.users > 0 {
		return
	}
	for _, t := range c.tables {
		t.close()
	}
	if !c.whole {
		delete(c.all.shared, c.of.ID)
	}
}

// missed is how many runs the kernel left out, on all interfaces.
func (c *counter) missed() (uint64, error) {
	var sum uint64
	for _, t := range c.tables {
		n, err := t.missed()
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// grow attaches one more probe, with a table of that many bits. An interface has its entry in
// one of the tables only.
func (c *counter) grow(size int) error {
	t := &table{bits: size, cpus: c.all.cpus, latency: c.all.latency, taken: make([]bool, 1<<size), used: make([]bool, 1<<size)}
	p := probe{object: "stats", entries: map[string]int{"counts": t.cpus << size}}
	if t.latency {
		p.entries["times"] = 1 << size
	}
	if c.whole {
		p.object = "whole"
	}
	var err error
	for _, untyped := range []bool{false, true} {
		p.programs = c.programs(size, untyped)
		config := struct{ Bits, Netns, Untyped uint32 }{Bits: uint32(size), Netns: c.all.netns}
		if untyped {
			config.Untyped = 1
		}
		p.config = config
		if t.probed, err = p.attach(c.in, c.of); err == nil || dispatcher.VerifierLog(err) == "" {
			break // a second try makes sense only if the kernel has refused the program
		}
	}
	if err != nil {
		return err
	}
	page := os.Getpagesize()
	length := (t.cpus<<size*sizeofEntry + page - 1) / page * page
	if t.memory, err = unix.Mmap(t.mapFD("counts"), 0, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		t.close()
		return os.NewSyscallError("mmap", err)
	}
	c.tables = append(c.tables, t)
	return nil
}

// programs are those of the probe object that do it.
func (c *counter) programs(size int, untyped bool) []string {
	suffix := ""
	switch {
	case c.whole || untyped:
	case size == fewBits:
		suffix = "_few"
	case size == manyBits:
		suffix = "_many"
	}
	if c.all.latency {
		return []string{"enter", "leave" + suffix}
	}
	return []string{"count" + suffix}
}

func (t *table) close() {
	t.probed.close()
	if t.memory != nil {
		_ = unix.Munmap(t.memory)
		t.memory = nil
	}
}

// slot is the place of one interface in a table.
type slot struct {
	*table
	place   int
	ifindex uint32
}

// slot finds a place for an interface. It is closed: nothing counts there yet.
func (c *counter) slot(ifindex int) (slot, error) {
	for _, t := range c.tables {
		for i := range near {
			at := (ifindex + i) & (1<<t.bits - 1)
			if !t.taken[at] {
				s := slot{t, at, uint32(ifindex)}
				return s, s.clear()
			}
		}
	}
	size := manyBits
	if last := c.tables[len(c.tables)-1]; last.bits > fewBits {
		size = mostBits
	}
	if err := c.grow(size); err != nil {
		return slot{}, err
	}
	return c.slot(ifindex)
}

// clear takes a place and wipes what was counted there for another interface.
func (s slot) clear() error {
	s.taken[s.place] = true
	if !s.used[s.place] {
		s.used[s.place] = true
		return nil
	}
	for cpu := range s.cpus {
		s.entry(cpu).clear()
	}
	for b := range 1 << oddBits {
		if err := libbpf.MapDelete(s.mapFD("odds"), s.oddKey(b)); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	if s.latency {
		return libbpf.MapUpdate(s.mapFD("times"), s.key(), make([]byte, s.cpus*numWords*8), libbpf.UpdateAny)
	}
	return nil
}

// free gives the place back, closed.
func (s slot) free() {
	for cpu := range s.cpus {
		s.entry(cpu).close()
	}
	s.taken[s.place] = false
}

func (s slot) key() []byte { return binary.NativeEndian.AppendUint32(nil, uint32(s.place)) }

func (s slot) oddKey(bits int) []byte {
	return binary.NativeEndian.AppendUint32(s.key(), uint32(bits))
}

func (s slot) entry(cpu int) *entry {
	return (*entry)(unsafe.Pointer(&s.memory[(cpu<<s.bits|s.place)*sizeofEntry]))
}

func (s slot) open(cpu int) {
	e := s.entry(cpu)
	atomic.StoreUint64(&e.dev, 0)
	atomic.StoreUint32(&e.place, uint32(s.place))
	atomic.StoreUint32(&e.ifindex, s.ifindex)
}

func (e *entry) close() {
	atomic.StoreUint32(&e.ifindex, 0)
	atomic.StoreUint64(&e.dev, 0)
}

// clear wipes a closed entry.
func (e *entry) clear() {
	for i := range e.verdicts {
		atomic.StoreUint64(&e.verdicts[i], 0)
	}
}

func (e *entry) read() Verdicts {
	var v Verdicts
	for i := range v {
		v[i] = atomic.LoadUint64(&e.verdicts[i])
	}
	return v
}

// verdicts are the packets of all CPUs.
func (s slot) verdicts() Verdicts {
	var sum Verdicts
	for cpu := range s.cpus {
		sum.add(s.entry(cpu).read())
	}
	return sum
}

// read adds what was counted to r. It reads the parts of a sum before the sum, so that they
// are never more than that.
func (s slot) read(r *raw) error {
	if s.latency {
		value := make([]byte, s.cpus*numWords*8)
		if err := libbpf.MapLookup(s.mapFD("times"), s.key(), value); err != nil {
			return err
		}
		r.times.addDecoded(value)
	}
	if s.verdicts()[Other] > 0 {
		s.readOdd(r)
	}
	r.verdicts.add(s.verdicts())
	return nil
}

func (s slot) readOdd(r *raw) {
	value := make([]byte, s.cpus*8)
	for b := range r.odd {
		if libbpf.MapLookup(s.mapFD("odds"), s.oddKey(b), value) != nil {
			continue // there was none
		}
		for v := range slices.Chunk(value, 8) {
			r.odd[b] += binary.NativeEndian.Uint64(v)
		}
	}
}
