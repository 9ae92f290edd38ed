package observe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/internal/classic"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
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
	Buffer  int // bytes of memory for packets until Next takes them; 0: 4 MiB
}

// Live traces what an interface receives, as the chain leaves it. It follows the
// chain when others change it, and changes nothing itself.
//
// With [AtArrival] it traces what the interface receives before a program has seen it, also
// what the chain drops, and also without a program. Then the packets are those of a packet socket
// (packet(7)): the kernel may have put several of them together before (GRO).
type Live struct {
	ifindex int
	asked   request
	program string // see LiveOptions, as for:
	id      uint32
	arrives bool     // see AtArrival
	tracer  *tracer  // nil while nothing is on the interface
	queue   []*Trace // told of next
	pending []*Trace // not yet sure
	before  told     // by earlier tracers
	taken   []Taken  // likewise
	dropped uint64   // never got sure
	gap     gap
	unused  unused // see Recycle
}

// OpenLive begins to trace. A Live is for one goroutine at a time.
//
// Errors: as [Open]; [xdp.ErrNoProgram] too if the chain has no program of
// the name in options; [xdp.ErrInvalid] for a filter that the kernel can't run. With [AtArrival] an
// interface without a program is no error, but one without Ethernet frames is [xdp.ErrModeNotSupported].
func OpenLive(ctx context.Context, ifname string, options LiveOptions) (*Live, error) {
	c, err := dispatcher.Status(ctx, ifname)
	if err != nil {
		return nil, err
	}
	l := &Live{ifindex: c.Interface.Index, program: options.Program, id: options.ID, arrives: options.At == AtArrival,
		asked: request{buffer: options.Buffer,
			packetConfig: packetConfig{Verdicts: allVerdicts, Sample: options.OneIn, Points: pointsOf(options.At), Snap: SnapLen}}}
	l.asked.unused = &l.unused
	if err := notEmpty(c); err != nil && !l.arrives {
		return nil, err
	}
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
	if l.deciders(c) == 0 && !l.arrives {
		wanted := strconv.Quote(options.Program)
		if options.ID != 0 {
			wanted = fmt.Sprint(options.ID)
		}
		var there []string
		for _, p := range programs(c) {
			there = append(there, fmt.Sprintf("%d (%s)", p.ID, p.Name))
		}
		return nil, &xdp.Error{Kind: xdp.ErrNoProgram,
			Msg:    fmt.Sprintf("no program %s in the chain on %s", wanted, ifname),
			Remedy: "its programs: " + strings.Join(there, ", ")}
	}
	if err := l.start(c); err != nil {
		return nil, err
	}
	return l, nil
}

// start begins to trace a chain.
func (l *Live) start(c *dispatcher.Chain) error {
	if err := l.trace(c); err != nil {
		return err
	}
	// What came before is none of the trace.
	said, err := l.tracer.told()
	l.tracer.early = said.Missed
	if err == nil {
		err = l.begin()
	}
	if err != nil {
		return errors.Join(err, l.Close())
	}
	return nil
}

// begin notes that from now on each packet is told of, or counted as missed.
func (l *Live) begin() error {
	counted, err := l.told()
	if err != nil {
		return err
	}
	s, err := lookAt(l.ifindex)
	l.gap.begin(pair{s.received, counted.Packets})
	return err
}

// deciders has bit n set if the options take packets that program n decides.
func (l *Live) deciders(c *dispatcher.Chain) uint32 {
	if l.program == "" && l.id == 0 {
		return allPrograms
	}
	var set uint32
	for i, p := range programs(c) {
		if (l.program == "" || p.Name == l.program) && (l.id == 0 || p.ID == l.id) {
			set |= 1 << i
		}
	}
	return set
}

func (l *Live) trace(c *dispatcher.Chain) (err error) {
	tell := func(t *Trace) { l.pending = append(l.pending, t) }
	if l.arrives {
		l.tracer, err = traceArrivals(c, l.asked, tell)
		return err
	}
	l.asked.Deciders = l.deciders(c)
	l.tracer, err = trace(c, l.asked, tell)
	return err
}

// told is what all tracers say.
func (l *Live) told() (told, error) {
	sum := l.before
	if l.tracer == nil {
		return sum, nil
	}
	now, err := l.tracer.told()
	sum.add(now)
	return sum, err
}

// lookAgain is how long Next waits for a packet before it looks whether the chain
// is still the one that is traced.
const lookAgain = 25 * time.Millisecond

// atOnce is how many packets are taken out of the ring buffer at most before somebody else has a turn:
// those who wait for packets, and who looks whether the chain has changed.
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

// wait waits until a packet is queued, or the chain has changed.
func (l *Live) wait(ctx context.Context) error {
	for looked := time.Now(); len(l.queue) == 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		before := l.tracer
		if l.tracer == nil {
			if err := waitFor(ctx, lookAgain); err != nil {
				return err
			}
		} else {
			if err := l.tracer.ring.wait(lookAgain); err != nil {
				return err
			}
			l.tracer.read(atOnce)
		}
		l.confirm(false)
		if len(l.pending) > 0 || time.Since(looked) >= lookAgain {
			if err := l.refresh(ctx); err != nil {
				return err
			}
			looked = time.Now()
		}
		if l.tracer != before {
			return nil
		}
	}
	return nil
}

// confirm queues the packets whose chain is sure. A packet that left a dispatcher went through
// the chain of that dispatcher. A lone program may have been in another chain already; so a
// packet that left it waits until the program is seen to be still alone.
func (l *Live) confirm(alone bool) {
	if alone || l.tracer != nil && !l.tracer.alone {
		l.queue = append(l.queue, l.pending...)
		l.pending = l.pending[:0]
	}
}

func waitFor(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// refresh traces the chain that is on the interface now, if it is another one.
func (l *Live) refresh(ctx context.Context) error {
	link, err := netlink.LinkByIndex(l.ifindex)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return &xdp.Error{Kind: xdp.ErrNoInterface, Err: err, Msg: "the interface is gone"}
	}
	if err != nil {
		return err
	}
	s := stateOf(link.Attrs())
	old := l.tracer
	if old != nil && s.mainID == old.chainID() {
		l.confirm(true)
		counted, err := l.told()
		if err == nil {
			l.gap.look(pair{s.received, counted.Packets})
		}
		return err
	}
	if old != nil && l.arrives && (s.mainID == 0 || old.chainID() == 0) {
		// A packet that comes to a program and passes it comes to a packet socket, too. It is told of
		// once: nobody looks at both.
		l.tracer = nil
		if err := l.leave(old); err != nil {
			return err
		}
		old = nil
		if s.mainID != 0 {
			counted, err := l.told()
			if err != nil {
				return err
			}
			l.gap.begin(pair{s.received, counted.Packets})
			l.gap.swapped()
		}
	}
	c := &dispatcher.Chain{Interface: xdp.Interface{Index: l.ifindex, Name: link.Attrs().Name}}
	if s.mainID != 0 {
		c, err = dispatcher.Status(ctx, link.Attrs().Name)
		switch {
		case errors.Is(err, xdp.ErrBusy), errors.Is(err, xdp.ErrNoInterface):
			return nil // somebody has changed or renamed it meanwhile; the next look will tell
		case err != nil:
			return err
		case main(c) == nil:
			return nil
		}
	}
	l.tracer = nil
	if main(c) != nil || l.arrives {
		if err := l.trace(c); err != nil {
			l.tracer = old
			if errors.Is(err, xdp.ErrNoProgram) {
				return nil // changed once more
			}
			return err
		}
	}
	switch {
	case l.tracer == nil, l.tracer.chainID() == 0, old == nil && !l.gap.open:
		l.gap.end()
	default:
		l.gap.swapped()
	}
	if err := l.leave(old); err != nil {
		return err
	}
	if !l.gap.open && l.tracer != nil {
		return l.begin()
	}
	return nil
}

// leave waits until the packets in an earlier chain have left, queues what its tracer still
// has to tell, and ends that.
func (l *Live) leave(old *tracer) error {
	if old == nil {
		return nil
	}
	loaded.WaitForPackets()
	old.finish()
	if old.alone {
		l.dropped += uint64(len(l.pending))
	} else {
		l.queue = append(l.queue, l.pending...)
	}
	l.pending = nil
	said, err := old.told()
	l.before.add(said)
	l.taken = old.taken(l.taken, said)
	return errors.Join(err, old.close())
}

// Taken is what was looked at of a program: of the dispatcher or of what is in its place with
// [AtChain], of a component program or a lone one with [AtPrograms].
type Taken struct {
	Program xdp.Loaded
	Packets uint64 // that came to it, asked for or not
	Lost    uint64 // that couldn't be told of because too many came at once
}

// Taken is what was looked at since OpenLive, also of programs that are gone.
func (l *Live) Taken() []Taken {
	all := slices.Clone(l.taken)
	if l.tracer != nil {
		said, _ := l.tracer.told() // what can't be read now was an error of Next
		all = l.tracer.taken(all, said)
	}
	return all
}

// taken adds what the tracer looked at to all.
func (t *tracer) taken(all []Taken, said told) []Taken {
	add := func(p xdp.Loaded, packets, lost uint64) {
		i := slices.IndexFunc(all, func(t Taken) bool { return t.Program.ID == p.ID })
		if i < 0 {
			i = len(all)
			all = append(all, Taken{Program: p})
		}
		all[i].Packets += packets
		all[i].Lost += lost
	}
	if !t.points {
		add(t.main, said.Packets, said.Lost)
		return all
	}
	for i, p := range t.programs {
		if p.ID != 0 { // else its slot is empty
			add(p, said.At[i].Packets, said.At[i].Lost)
		}
	}
	return all
}

// Ready says whether there is a packet that Next returns without waiting.
func (l *Live) Ready() bool { return len(l.queue) > 0 }

// Stop ends the trace. Next still returns what has come until now, as long as Ready says so.
func (l *Live) Stop(ctx context.Context) error {
	if l.tracer == nil {
		return nil
	}
	l.tracer.finish()
	l.confirm(false)
	return l.refresh(ctx)
}

// Lost is how many packets couldn't be told of because too many came at once.
func (l *Live) Lost() uint64 {
	said, _ := l.told() // what can't be read now was an error of Next
	return said.Lost
}

// Missed is how many packets went through the chain untold because a swap had just changed it
// and not all probes stood. The filter has no part in it.
func (l *Live) Missed() uint64 {
	said, _ := l.told()
	return said.Missed + l.dropped + l.gap.missed()
}

// Close ends the tracing.
func (l *Live) Close() error {
	if l.tracer == nil {
		return nil
	}
	t := l.tracer
	l.tracer = nil
	return t.close()
}
