package observe

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/proc"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
)

// rings are the ring buffers of a trace, one for each processor that is online, and what is in them in one
// order of time.
//
// A probe makes room for its record first, and then takes the time. So if the reader looks at the clock, and
// then how far each ring buffer goes, each record that is no later than the clock lies before these ends. What
// does is a round. The kernel marks a record that is still being written, and the round waits for it, however
// long an interrupt or another virtual machine has its processor. When all are written, those that are no later
// than the clock are told of in the order of their times: no record that comes can be earlier. The others stay
// for the next round. A single ring buffer is not always in order: an interrupt can bring a packet when another
// has its room and not yet its time.
type rings struct {
	events *libbpf.FD // the map of that name of bpf/probe/packet.bpf.c
	each   []*ring
	epoll  *libbpf.FD

	// The round:
	clock   uint64       // when it began
	writing bool         // not all of it is written yet
	records []ringRecord // in the order of their times, with what stays for the next one
	told    int          // of records
	due     int          // likewise: those that are no later than clock
}

// ringRecord is a record in a ring.
type ringRecord struct {
	time uint64
	in   *ring
	at   uint64 // bytes before it
	free uint64 // bytes that nobody needs any more once it is told of
}

// settled is longer than a processor takes to let others see what it has written before it looked at the clock,
// in nanoseconds.
const settled = 100_000

// openRings makes ring buffers of so many bytes.
func openRings(size int) (_ *rings, err error) {
	possible, err := proc.PossibleProcessors()
	if err != nil {
		return nil, err
	}
	online, err := maps.ParseCPUs("")
	if err != nil {
		return nil, err
	}
	r := &rings{}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	r.epoll = libbpf.NewFD(epoll)
	for range online {
		one, err := openRing(size)
		if err != nil {
			return nil, err
		}
		r.each = append(r.each, one)
		// Edges: else every record would end the wait.
		event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET}
		if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, one.fd.Int(), &event); err != nil {
			return nil, os.NewSyscallError("epoll_ctl", err)
		}
	}
	if r.events, err = libbpf.CreateMapOfMaps("events", r.each[0].fd, possible); err != nil {
		return nil, err
	}
	for cpu := range possible {
		// A processor that isn't online may come, and then it shares one.
		at := max(0, slices.Index(online, cpu))
		key := binary.NativeEndian.AppendUint32(nil, uint32(cpu))
		value := binary.NativeEndian.AppendUint32(nil, uint32(r.each[at].fd.Int()))
		if err := libbpf.MapUpdate(r.events.Int(), key, value, libbpf.UpdateAny); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// wait waits until the probes wake the reader up, which they do when many records are there, and no
// longer than wait. Without many, records wait so long.
func (r *rings) wait(wait time.Duration) error {
	if r.told < r.due {
		return nil
	}
	if r.writing { // no probe wakes up for that
		wait = min(wait, time.Millisecond)
	}
	_, err := unix.EpollWait(r.epoll.Int(), make([]unix.EpollEvent, 1), int(wait.Milliseconds()))
	if err == unix.EINTR {
		return nil
	}
	return os.NewSyscallError("epoll_wait", err)
}

// read calls f with records that are there, limit at most. f may use a record until it returns.
func (r *rings) read(limit int, f func(record []byte)) {
	if r.told == r.due && !r.writing {
		r.begin()
	}
	if r.writing {
		r.gather()
	}
	for ; limit > 0 && r.told < r.due; limit-- {
		e := &r.records[r.told]
		r.told++
		f(e.in.record(e.at))
		e.in.consumed.Store(e.free)
	}
}

// readUntil calls f with all records up to a time of the clock, which is over.
func (r *rings) readUntil(clock uint64, f func(record []byte)) error {
	for r.clock < clock || r.writing || r.told < r.due {
		if r.writing {
			if err := r.wait(time.Millisecond); err != nil {
				return err
			}
		}
		r.read(math.MaxInt, f)
	}
	return nil
}

// begin begins a round.
func (r *rings) begin() {
	r.records = append(r.records[:0], r.records[r.told:]...)
	r.told, r.due = 0, 0
	r.clock = monotonic() - settled
	for _, one := range r.each {
		one.end = one.produced.Load()
	}
	r.writing = true
}

// gather finds the records of the round, if all are written.
func (r *rings) gather() {
	const tries = 100 // to write one takes less than a microsecond, unless the processor does something else
	for try := 0; r.writing; try++ {
		if try == tries {
			return
		}
		r.writing = false
		for _, one := range r.each {
			r.writing = !one.walk(&r.records) || r.writing
		}
	}
	slices.SortFunc(r.records, func(a, b ringRecord) int {
		if a.time != b.time {
			return cmp.Compare(a.time, b.time)
		}
		return cmp.Compare(a.at, b.at)
	})
	for _, one := range r.each {
		one.needed = one.walked
	}
	for i := len(r.records) - 1; i >= 0; i-- {
		e := &r.records[i]
		e.free = e.in.needed
		e.in.needed = min(e.in.needed, e.at)
	}
	r.due, _ = slices.BinarySearchFunc(r.records, r.clock+1, func(e ringRecord, clock uint64) int { return cmp.Compare(e.time, clock) })
}

// close is idempotent, and takes a nil pointer.
func (r *rings) close() error {
	if r == nil {
		return nil
	}
	errs := []error{r.epoll.Close(), r.events.Close()}
	for _, one := range r.each {
		errs = append(errs, one.close())
	}
	return errors.Join(errs...)
}
