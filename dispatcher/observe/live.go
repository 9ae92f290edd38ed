package observe

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/xdpmux/xdpmux/dispatcher"
)

// Filter says which packets a [Live] trace tells of. The kernel filters, so that
// others cost no more than the probes themselves.
type Filter struct {
	Verdicts []int  // only these final verdicts, as places in [Verdicts]; nil: all
	Program  string // only what the program of this name decided; empty: all
	ID       uint32 // only what the program with this id decided; 0: all
	OneIn    uint32 // only one, at random, in so many; 0: all
}

// Live traces what an interface receives, as the chain leaves it. It follows the
// chain when others change it.
type Live struct {
	ifindex int
	config  packetConfig
	program string // see Filter
	id      uint32
	tracer  *tracer // nil while nothing is on the interface
	queue   []*Trace
	lost    uint64 // by earlier tracers
}

// OpenLive begins to trace. A Live is for one goroutine at a time.
//
// Errors: as [Open]; [dispatcher.ErrNoProgram] too if the chain has no program of
// the filter's name.
func OpenLive(ctx context.Context, ifname string, filter Filter) (*Live, error) {
	c, err := dispatcher.Status(ctx, ifname)
	if err != nil {
		return nil, err
	}
	if err := notEmpty(c); err != nil {
		return nil, err
	}
	l := &Live{ifindex: c.Interface.Index, program: filter.Program, id: filter.ID,
		config: packetConfig{Verdicts: allVerdicts, Sample: filter.OneIn}}
	if filter.Verdicts != nil {
		l.config.Verdicts = 0
		for _, v := range filter.Verdicts {
			l.config.Verdicts |= 1 << v
		}
	}
	if l.deciders(c) == 0 {
		wanted := strconv.Quote(filter.Program)
		if filter.ID != 0 {
			wanted = fmt.Sprint(filter.ID)
		}
		var there []string
		for _, p := range programs(c) {
			there = append(there, fmt.Sprintf("%d (%s)", p.ID, p.Name))
		}
		return nil, &dispatcher.Error{Kind: dispatcher.ErrNoProgram,
			Msg:    fmt.Sprintf("no program %s in the chain on %s", wanted, ifname),
			Remedy: "its programs: " + strings.Join(there, ", ")}
	}
	return l, l.trace(c)
}

func programs(c *dispatcher.Chain) []dispatcher.Loaded {
	if c.Legacy != nil {
		return []dispatcher.Loaded{*c.Legacy}
	}
	var all []dispatcher.Loaded
	for _, p := range c.Programs {
		all = append(all, p.Loaded)
	}
	return all
}

// deciders has bit n set for program n if that may decide what is to be shown.
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
	l.config.Deciders = l.deciders(c)
	l.tracer, err = trace(c, l.config, func(t *Trace) { l.queue = append(l.queue, t) })
	return err
}

// lookAgain is how long Next waits for a packet before it looks whether the chain
// is still the one that is traced.
const lookAgain = 100 * time.Millisecond

// Next waits for a packet. Its error is that of ctx, or why a changed chain can't
// be traced.
func (l *Live) Next(ctx context.Context) (*Trace, error) {
	for looked := time.Now(); len(l.queue) == 0; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if l.tracer == nil {
			if err := waitFor(ctx, lookAgain); err != nil {
				return nil, err
			}
		} else if _, err := l.tracer.ring.Poll(lookAgain); err != nil && !errors.Is(err, syscall.EINTR) {
			return nil, err
		}
		if time.Since(looked) >= lookAgain {
			if err := l.refresh(ctx); err != nil {
				return nil, err
			}
			looked = time.Now()
		}
	}
	t := l.queue[0]
	l.queue = l.queue[1:]
	return t, nil
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
	if err != nil {
		return &dispatcher.Error{Kind: dispatcher.ErrNoInterface, Err: err, Msg: "the interface is gone"}
	}
	id := uint32(0)
	if xdp := link.Attrs().Xdp; xdp != nil {
		id = xdp.ProgId
	}
	if l.tracer != nil && id == main(l.tracer.chain).ID {
		return nil
	}
	if l.tracer != nil {
		l.tracer.detach()
		if _, err := l.tracer.ring.Consume(); err != nil && !errors.Is(err, syscall.EINTR) {
			return err
		}
		l.lost = l.Lost()
		err := l.tracer.close()
		if l.tracer = nil; err != nil {
			return err
		}
	}
	c, err := dispatcher.Status(ctx, link.Attrs().Name)
	if err != nil || main(c) == nil {
		return err
	}
	if err := l.trace(c); errors.Is(err, dispatcher.ErrNoProgram) {
		return nil // changed once more; the next look will tell
	} else if err != nil {
		return err
	}
	return nil
}

// Lost is how many packets couldn't be told of, as there were too many at once.
func (l *Live) Lost() uint64 {
	if l.tracer == nil {
		return l.lost
	}
	return l.lost + l.tracer.lost()
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
