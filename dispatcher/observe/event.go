package observe

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/internal/proc"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Where the fields of struct head of bpf/probe/trace.h are.
const (
	headFinal    = 8
	headSeen     = headFinal + 4
	headSource   = headSeen + 2
	headVerdict  = headSource + 2
	headLength   = headVerdict + 4*xdp.MaxPrograms
	headCaptured = headLength + 4
	headQueue    = headCaptured + 4
	headPoints   = headQueue + 4
	headSize     = headPoints + 4
)

// Where the fields of struct point of bpf/probe/trace.h are.
const (
	pointSlot     = 8
	pointExit     = pointSlot + 2
	pointLength   = pointExit + 2
	pointCaptured = pointLength + 4
	pointSize     = pointCaptured + 8
)

// trailSize is the size of struct trail of bpf/probe/trace.h.
const trailSize = headSize + 2*xdp.MaxPrograms*(pointSize+SnapLen)

// boot is when CLOCK_MONOTONIC, which stamps the events, showed 0.
var boot struct {
	sync.Mutex
	time.Time
	within time.Duration // of the true one
}

// bootTime is boot, unless the clock has been set meanwhile. All traces have it from here: packets of
// several interfaces are put in order by their times.
func bootTime() time.Time {
	const steady = 100 * time.Microsecond
	boot.Lock()
	defer boot.Unlock()
	for _, tries := range []int{1, 5} {
		// What may be an error of ours is no reason to have times go back.
		if zero, within := lookAtClocks(tries); boot.Sub(zero).Abs() < steady+boot.within+within {
			return boot.Time
		}
	}
	boot.Time, boot.within = lookAtClocks(5)
	return boot.Time
}

// lookAtClocks finds out when CLOCK_MONOTONIC showed 0. It tries again, at most so often, if this thread
// had to wait between the clocks.
func lookAtClocks(tries int) (zero time.Time, within time.Duration) {
	const soon = 10 * time.Microsecond
	best := time.Duration(math.MaxInt64)
	for try := 0; try < tries && best > soon; try++ {
		before := monotonic()
		now := time.Now()
		if took := time.Duration(monotonic() - before); took < best {
			best, zero = took, now.Round(0).Add(-time.Duration(before)-took/2)
		}
	}
	return zero, best / 2
}

// clockOffset is how much CLOCK_MONOTONIC is ahead of that of the probes, which know no time namespaces.
var clockOffset = sync.OnceValue(proc.MonotonicOffset)

// monotonic is CLOCK_MONOTONIC as probes see it, in nanoseconds.
func monotonic() uint64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // every Linux has that clock
	return uint64(ts.Nano() - int64(clockOffset()))
}

// unused are Traces that nobody uses any more.
type unused []*Trace

func (u *unused) take() *Trace {
	if len(*u) == 0 {
		return &Trace{}
	}
	last := len(*u) - 1
	t := (*u)[last]
	*u = (*u)[:last]
	return t
}

// decodeLive reads a record, whose times count from boot.
func (t *tracer) decodeLive(result *Trace, record []byte, boot time.Time) {
	result.Time = boot.Add(time.Duration(binary.NativeEndian.Uint64(record)))
	result.Length = int(binary.NativeEndian.Uint32(record[headLength:]))
	t.decode(result, record)
	result.memory = append(result.memory[:0], record[headSize:]...) // the record is the ring buffer's
	behind := result.memory
	result.Points = result.Points[:0]
	if size := binary.NativeEndian.Uint32(record[headPoints:]); size > 0 {
		t.decodePoints(result, record, behind[:size], boot)
		result.Data = result.Points[len(result.Points)-1].Data
	} else {
		result.Data = behind[:binary.NativeEndian.Uint32(record[headCaptured:])]
	}
}

// decode sets what the programs said, in the memory that result has.
func (t *tracer) decode(result *Trace, head []byte) {
	word := func(at int) uint32 { return binary.NativeEndian.Uint32(head[at:]) }
	seen := binary.NativeEndian.Uint16(head[headSeen:])
	result.Main = t.main
	result.Verdict = xdp.Verdict(word(headFinal))
	result.Queue = int(word(headQueue))
	result.Steps = slices.Grow(result.Steps[:0], bits.OnesCount16(seen))
	for i, p := range t.programs {
		if seen&(1<<i) != 0 {
			result.Steps = append(result.Steps, Step{p, xdp.Verdict(word(headVerdict + 4*i))})
		}
	}
	result.DecidedBy = nil
	if n := len(result.Steps); n > 0 && result.Steps[n-1].Verdict == result.Verdict {
		result.DecidedBy = &result.Steps[n-1].Loaded
	}
}

// decodePoints sets where the packet came by. The points keep the memory of points. Their
// times count from boot.
func (t *tracer) decodePoints(result *Trace, head, points []byte, boot time.Time) {
	result.Points = result.Points[:0]
	for len(points) >= pointSize {
		captured := int(binary.NativeEndian.Uint32(points[pointCaptured:]))
		slot := int(binary.NativeEndian.Uint16(points[pointSlot:]))
		p := Point{
			Program: t.programs[slot],
			Exit:    binary.NativeEndian.Uint16(points[pointExit:]) != 0,
			Length:  int(binary.NativeEndian.Uint32(points[pointLength:])),
			Data:    points[pointSize:][:captured:captured],
		}
		if !boot.IsZero() {
			p.Time = boot.Add(time.Duration(binary.NativeEndian.Uint64(points)))
		}
		if p.Exit {
			p.Verdict = xdp.Verdict(binary.NativeEndian.Uint32(head[headVerdict+4*slot:]))
		}
		result.Points = append(result.Points, p)
		points = points[pointSize+(captured+7)&^7:]
	}
}
