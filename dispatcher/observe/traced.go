package observe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// traced is one interface of a Live.
type traced struct {
	xdp.Interface // as it was called at first
	live          *Live
	tracer        *tracer // nil while nothing is on the interface
	before        *tracer // that of the chain before, until all of its packets are told of
	earlier       told    // by earlier tracers
	taken         []Taken // likewise
	dropped       uint64  // never got sure
	gap           gap
}

// hasWanted says whether there is anything to be traced.
func (l *Live) hasWanted(c *dispatcher.Chain) error {
	if l.arrives {
		return nil
	}
	if err := notEmpty(c); err != nil || l.deciders(c) != 0 {
		return err
	}
	wanted := strconv.Quote(l.program)
	if l.id != 0 {
		wanted = fmt.Sprint(l.id)
	}
	var there []string
	for _, p := range programs(c) {
		there = append(there, fmt.Sprintf("%d (%s)", p.ID, p.Name))
	}
	return &xdp.Error{Kind: xdp.ErrNoProgram,
		Msg:    fmt.Sprintf("no program %s in the chain on %s", wanted, c.Interface.Name),
		Remedy: "its programs: " + strings.Join(there, ", ")}
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

// start begins to trace a chain.
func (i *traced) start(c *dispatcher.Chain) error {
	if err := i.trace(c); err != nil {
		return err
	}
	// What came before is none of the trace.
	said, err := i.tracer.told()
	i.tracer.early = said.Missed
	if err == nil {
		err = i.begin()
	}
	return err
}

// begin notes that from now on each packet is told of, or counted as missed.
func (i *traced) begin() error {
	counted, err := i.told()
	if err != nil {
		return err
	}
	s, err := lookAt(i.Index)
	i.gap.begin(pair{s.received, counted.Packets})
	return err
}

func (i *traced) trace(c *dispatcher.Chain) (err error) {
	i.live.sources++
	asked := i.live.asked
	asked.Source = uint32(i.live.sources)
	if i.live.arrives {
		i.tracer, err = traceArrivals(c, asked)
		return err
	}
	asked.Deciders = i.live.deciders(c)
	i.tracer, err = trace(c, asked)
	return err
}

// by is the tracer with this number.
func (i *traced) by(source uint16) *tracer {
	for _, t := range []*tracer{i.tracer, i.before} {
		if t != nil && t.source == source {
			return t
		}
	}
	return nil
}

// told is what all tracers say.
func (i *traced) told() (told, error) {
	sum := i.earlier
	if i.tracer == nil {
		return sum, nil
	}
	now, err := i.tracer.told()
	sum.add(now)
	return sum, err
}

// refresh traces the chain that is on the interface now, if it is another one.
func (i *traced) refresh(ctx context.Context) error {
	link, err := netlink.LinkByIndex(i.Index)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return &xdp.Error{Kind: xdp.ErrNoInterface, Err: err, Msg: i.Name + " is gone"}
	}
	if err != nil {
		return err
	}
	s := stateOf(link.Attrs())
	old := i.tracer
	if old != nil && s.mainID == old.chainID() {
		for _, t := range i.live.pending {
			if t.unsure == old {
				t.unsure = nil
			}
		}
		counted, err := i.told()
		if err == nil {
			i.gap.look(pair{s.received, counted.Packets})
		}
		return err
	}
	if old != nil && i.live.arrives && (s.mainID == 0 || old.chainID() == 0) {
		// A packet that comes to a program and passes it comes to a packet socket, too. It is told of
		// once: nobody looks at both.
		i.tracer = nil
		if err := i.leave(old); err != nil {
			return err
		}
		old = nil
		if s.mainID != 0 {
			counted, err := i.told()
			if err != nil {
				return err
			}
			i.gap.begin(pair{s.received, counted.Packets})
			i.gap.swapped()
		}
	}
	c := &dispatcher.Chain{Interface: xdp.Interface{Index: i.Index, Name: link.Attrs().Name}}
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
	i.tracer = nil
	if main(c) != nil || i.live.arrives {
		if err := i.trace(c); err != nil {
			i.tracer = old
			if errors.Is(err, xdp.ErrNoProgram) {
				return nil // changed once more
			}
			return err
		}
	}
	switch {
	case i.tracer == nil, i.tracer.chainID() == 0, old == nil && !i.gap.open:
		i.gap.end()
	default:
		i.gap.swapped()
	}
	if err := i.leave(old); err != nil {
		return err
	}
	if !i.gap.open && i.tracer != nil {
		return i.begin()
	}
	return nil
}

// leave waits until the packets in an earlier chain have left, takes what its tracer still has to
// tell, and ends that.
func (i *traced) leave(old *tracer) error {
	if old == nil {
		return nil
	}
	loaded.WaitForPackets()
	old.detach()
	loaded.WaitForPackets() // of which probes are just telling
	i.before = old
	err := i.live.asked.rings.readUntil(monotonic(), i.live.record())
	i.before = nil
	if old.alone {
		before := len(i.live.pending)
		i.live.pending = slices.DeleteFunc(i.live.pending, func(t *Trace) bool { return t.unsure == old })
		i.dropped += uint64(before - len(i.live.pending))
	}
	said, toldErr := old.told()
	i.earlier.add(said)
	i.taken = old.taken(i.taken, said)
	old.close()
	return errors.Join(err, toldErr)
}

// Taken is what was looked at of a program: of the dispatcher or of what is in its place with
// [AtChain], of a component program or a lone one with [AtPrograms].
type Taken struct {
	Interface string
	Program   xdp.Loaded
	Packets   uint64 // that came to it, asked for or not
	Lost      uint64 // that couldn't be told of because too many came at once
}

// takenNow is what was looked at since OpenLive.
func (i *traced) takenNow() []Taken {
	all := slices.Clone(i.taken)
	if i.tracer != nil {
		said, _ := i.tracer.told() // what can't be read now was an error of Next
		all = i.tracer.taken(all, said)
	}
	for n := range all {
		all[n].Interface = i.Name
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
