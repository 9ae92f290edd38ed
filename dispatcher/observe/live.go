package observe

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/internal/classic"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// LiveOptions say which packets a [Live] trace tells of, and what of them. The kernel filters,
// so the other packets cost no more than the probes themselves. With [AtArrival] nobody knows yet
// who will decide what, so all packets are told of, whatever Verdicts, Program and ID say.
type LiveOptions struct {
	Verdicts []int  // only these final verdicts, as places in [Verdicts]; nil: all
	Program  string // only what the program of this name decided; empty: all
	ID       uint32 // only what the program with this id decided; 0: all
	OneIn    uint32 // only one, at random, in so many; 0: all

	// Only packets that this program in classic BPF takes, such as package filter compiles; nil:
	// all. It looks at the packet where At says. With [AtPrograms] a packet that it takes at one of
	// the points is told of with all of them. It sees the first [SnapLen] bytes of the packet's
	// first buffer, whatever of it is told of.
	Filter []unix.SockFilter

	At      At  // where the packets are looked at
	SnapLen int // how many bytes of a packet are told of, at most [SnapLen]; 0: as many
	Buffer  int // bytes of memory, for each processor, for packets until Next takes them; 0: UsualBuffer of 4 MiB
}

// UsualBuffer is a Buffer for those who don't say how large it should be: most bytes for each processor that is
// online, but no more than 64 MiB for all, unless that is less than 1 MiB for each.
func UsualBuffer(most int) int {
	online, err := maps.ParseCPUs("")
	if err != nil {
		return most // OpenLive will say it
	}
	return usualBuffer(most, len(online))
}

func usualBuffer(most, processors int) int {
	const all, least = 64 << 20, 1 << 20
	share := 1 << (bits.Len(uint(all/processors)) - 1) // ring buffers have a power of two
	return min(most, max(least, share))
}

// Live traces what interfaces receive, as their chains leave it, in one order of time. It follows the
// chains when others change them, and changes nothing itself.
//
// With [AtArrival] it traces what the interfaces receive before a program has seen it, also
// what the chain drops, and also without a program. Then the packets are those of a packet socket
// (packet(7)): the kernel may have put several of them together before (GRO).
type Live struct {
	asked      request
	program    string // see LiveOptions, as for:
	id         uint32
	arrives    bool // see AtArrival
	interfaces []*traced
	sources    uint16   // how many tracers there were
	queue      []*Trace // told of next
	pending    []*Trace // wait until they and those before are sure
	unused     unused   // see Recycle
}

// OpenLive begins to trace. An interface that is named twice is traced once. A Live is for one goroutine at a
// time.
//
// Errors: as [Open]; [xdp.ErrNoProgram] too if a chain has no program of
// the name in options; [xdp.ErrInvalid] for a filter that the kernel can't run. With [AtArrival] an
// interface without a program is no error, but one without Ethernet frames is [xdp.ErrModeNotSupported].
func OpenLive(ctx context.Context, ifnames []string, options LiveOptions) (_ *Live, err error) {
	l := &Live{program: options.Program, id: options.ID, arrives: options.At == AtArrival,
		asked: request{packetConfig: packetConfig{Verdicts: allVerdicts, Sample: options.OneIn, Points: pointsOf(options.At), Snap: SnapLen}}}
	if options.SnapLen > 0 {
		l.asked.Snap = uint32(options.SnapLen)
	}
	if options.Verdicts != nil {
		l.asked.Verdicts = 0
		for _, v := range options.Verdicts {
			l.asked.Verdicts |= 1 << v
		}
	}
	if options.Filter != nil {
		if l.asked.filter, err = classic.Translate(options.Filter); err != nil {
			return nil, &xdp.Error{Kind: xdp.ErrInvalid, Err: err, Msg: fmt.Sprintf("the kernel can't run the filter: %v", err)}
		}
		l.asked.Reach = uint32(classic.Reach(options.Filter))
	}
	var chains []*dispatcher.Chain
	for _, ifname := range ifnames {
		c, err := dispatcher.Status(ctx, ifname)
		if err != nil {
			return nil, err
		}
		if err := l.hasWanted(c); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(chains, func(d *dispatcher.Chain) bool { return d.Interface.Index == c.Interface.Index }) {
			chains = append(chains, c)
		}
	}
	size := ringSize(cmp.Or(options.Buffer, UsualBuffer(4<<20)))
	if l.asked.rings, err = openRings(size); err != nil {
		return nil, err
	}
	l.asked.Wake = uint32(size / 4) // time for the reader to come, and packets enough for the effort
	for _, c := range chains {
		i := &traced{live: l, Interface: c.Interface}
		l.interfaces = append(l.interfaces, i)
		if err := i.start(c); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return l, nil
}

// lookAgain is how long Next waits for a packet before it looks whether the chains
// are still those that are traced.
const lookAgain = 25 * time.Millisecond

// atOnce is how many packets are taken out of the ring buffers at most before somebody else has a turn:
// those who wait for packets, and who looks whether a chain has changed.
const atOnce = 256

// Next waits for a packet. It fails if ctx ends, or if a changed chain can't be traced.
func (l *Live) Next(ctx context.Context) (*Trace, error) {
	for len(l.queue) == 0 {
		if err := l.wait(ctx); err != nil {
			return nil, err
		}
	}
	return l.take(), nil
}

// Recycle gives the memory of a Trace, which Next has returned, to one that comes later. Nobody may use t any
// more, or what is in it. Without Recycle a Trace stays as it is.
func (l *Live) Recycle(t *Trace) { l.unused = append(l.unused, t) }

func (l *Live) take() *Trace {
	t := l.queue[0]
	l.queue = l.queue[1:]
	return t
}

// wait waits until a packet is queued, or a chain has changed.
func (l *Live) wait(ctx context.Context) error {
	before := l.sources
	for looked := time.Now(); len(l.queue) == 0 && l.sources == before; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := l.asked.rings.wait(lookAgain); err != nil {
			return err
		}
		l.asked.rings.read(atOnce, l.record())
		l.confirm()
		if len(l.pending) > 0 || time.Since(looked) >= lookAgain {
			for _, i := range l.interfaces {
				if err := i.refresh(ctx); err != nil {
					return err
				}
			}
			l.confirm()
			looked = time.Now()
		}
	}
	return nil
}

// record returns what is to be done with a record of the ring buffers.
func (l *Live) record() func(record []byte) {
	boot := bootTime() // anew, as the clock may be set while the trace goes on
	return func(record []byte) {
		source := binary.NativeEndian.Uint16(record[headSource:])
		for _, i := range l.interfaces {
			if by := i.by(source); by != nil {
				t := l.unused.take()
				by.decodeLive(t, record, boot)
				t.Interface, t.unsure = i.Name, nil
				if by.alone {
					t.unsure = by
				}
				l.pending = append(l.pending, t)
			}
		}
	}
}

// confirm queues the packets whose chain is sure. A packet that left a dispatcher went through
// the chain of that dispatcher. A lone program may have been in another chain already; so a
// packet that left it waits until the program is seen to be still alone, and so do those behind it.
func (l *Live) confirm() {
	sure := 0
	for sure < len(l.pending) && l.pending[sure].unsure == nil {
		sure++
	}
	l.queue = append(l.queue, l.pending[:sure]...)
	l.pending = slices.Delete(l.pending, 0, sure)
}

// told is what was said of all interfaces.
func (l *Live) told() (sum told, missed uint64) {
	for _, i := range l.interfaces {
		said, _ := i.told() // what can't be read now was an error of Next
		sum.add(said)
		missed += i.dropped + i.gap.missed()
	}
	return sum, sum.Missed + missed
}

// Taken is what was looked at since OpenLive, also of programs that are gone.
func (l *Live) Taken() (all []Taken) {
	for _, i := range l.interfaces {
		all = append(all, i.takenNow()...)
	}
	return all
}

// Ready says whether there is a packet that Next returns without waiting.
func (l *Live) Ready() bool { return len(l.queue) > 0 }

// Stop ends the trace. Next still returns what has come until now, as long as Ready says so.
func (l *Live) Stop(ctx context.Context) error {
	for _, i := range l.interfaces {
		if i.tracer != nil {
			i.tracer.detach()
		}
	}
	loaded.WaitForPackets() // of which probes are just telling
	if err := l.asked.rings.readUntil(monotonic(), l.record()); err != nil {
		return err
	}
	for _, i := range l.interfaces {
		if i.tracer != nil {
			if err := i.refresh(ctx); err != nil {
				return err
			}
		}
	}
	l.confirm()
	return nil
}

// Lost is how many packets couldn't be told of because too many came at once.
func (l *Live) Lost() uint64 {
	said, _ := l.told()
	return said.Lost
}

// Missed is how many packets went through a chain untold because a swap had just changed it
// and not all probes stood. The filter has no part in it.
func (l *Live) Missed() uint64 {
	_, missed := l.told()
	return missed
}

// Close ends the tracing.
func (l *Live) Close() error {
	for _, i := range l.interfaces {
		if i.tracer != nil {
			i.tracer.close()
			i.tracer = nil
		}
	}
	return l.asked.rings.close()
}
