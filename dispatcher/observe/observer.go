package observe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Options says what is measured.
type Options struct {
	Latency bool // take the time of each run too, at two to three times the cost of counting alone
}

// Observer counts what the chains of some interfaces do, until it is closed. It
// follows them while programs come and go.
type Observer struct {
	everything bool // all interfaces, those that come later too

	// Of the goroutine of run:
	counters *counters
	looked   time.Time // for newcomers

	ask   chan chan *Snapshot
	stop  chan struct{}
	done  chan struct{}
	close sync.Once
}

// Open observes what runs on the interfaces; one that is named twice is observed once.
// Without names it observes all interfaces, also those that come later or get a program
// later. The Observer's methods may be called from any goroutine.
//
// Errors: [xdp.ErrNoInterface]; [xdp.ErrNoProgram] if nothing runs on a named interface;
// [xdp.ErrKernel] if the kernel can't trace programs; [xdp.ErrPermission]. It is no error
// if some programs can't be observed and others can; see [Program.Blind].
func Open(ctx context.Context, ifnames []string, opts Options) (_ *Observer, err error) {
	netns, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			netns.Close()
		}
	}()
	counters, err := newCounters(netns, opts.Latency)
	if err != nil {
		return nil, err
	}
	o := &Observer{everything: len(ifnames) == 0, counters: counters, ask: make(chan chan *Snapshot), stop: make(chan struct{}), done: make(chan struct{})}
	var followed []*followed
	close := func() {
		for _, f := range followed {
			f.close()
		}
	}
	// Subscribed before the chains are read, so that no change is overlooked.
	updates, unsubscribe, err := subscribe()
	if err != nil {
		return nil, err
	}
	chains, err := chainsOf(ctx, ifnames)
	all, lower := len(chains), mastered()
	var groups [][]slot
	for _, c := range chains {
		f := newFollowed(c.Interface, lower[c.Interface.Index], counters, &all)
		followed = append(followed, f)
		groups = append(groups, f.follow(c)...)
	}
	if err == nil {
		err = blind(followed)
	}
	if err != nil {
		close()
		unsubscribe()
		return nil, err
	}
	begin(groups)
	for _, f := range followed {
		f.followed()
	}
	go func() {
		// Names and numbers of interfaces mean those of the caller's network
		// namespace. The thread, having changed to it, ends with the goroutine.
		runtime.LockOSThread()
		defer func() {
			close()
			unsubscribe()
			netns.Close()
			o.done <- struct{}{}
		}()
		if err := unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET); err != nil {
			updates = nil
		}
		followed = o.run(followed, updates)
	}()
	return o, nil
}

// chainsOf reads the chains of the named interfaces, or all chains there are.
func chainsOf(ctx context.Context, ifnames []string) ([]*dispatcher.Chain, error) {
	if len(ifnames) == 0 {
		all, err := dispatcher.StatusAll(ctx)
		// A chain that can't be read now is found again when somebody has changed it.
		return slices.DeleteFunc(all, func(c *dispatcher.Chain) bool { return main(c) == nil }), err
	}
	var chains []*dispatcher.Chain
	for _, name := range ifnames {
		c, err := dispatcher.Status(ctx, name)
		if err != nil {
			return nil, err
		}
		if err := notEmpty(c); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(chains, func(d *dispatcher.Chain) bool { return d.Interface.Index == c.Interface.Index }) {
			chains = append(chains, c)
		}
	}
	return chains, nil
}

// blind returns an error if nothing at all is observed, and the system is to blame for that.
func blind(all []*followed) error {
	var reason error
	for _, f := range all {
		for _, r := range f.rows {
			if r.seen != nil {
				return nil
			}
			if errors.Is(r.Blind, xdp.ErrKernel) || r.Blind != nil && reason == nil {
				reason = r.Blind
			}
		}
	}
	if errors.Is(reason, xdp.ErrKernel) {
		return reason
	}
	return nil
}

// subscribe asks the kernel to tell of changes to interfaces, among them those
// of their XDP program.
func subscribe() (<-chan netlink.LinkUpdate, func(), error) {
	updates, done := make(chan netlink.LinkUpdate, 64), make(chan struct{})
	if err := netlink.LinkSubscribeWithOptions(updates, done, netlink.LinkSubscribeOptions{
		ErrorCallback: func(error) {}, // it was too much for the buffer, but each Read looks for itself anyway
	}); err != nil {
		return nil, nil, fmt.Errorf("subscribe to changes of interfaces: %w", err)
	}
	return updates, func() {
		close(done)
		for range updates { // until the subscription's own goroutine has closed it
		}
	}, nil
}

// run owns everything that changes while chains are followed. It returns what it follows
// at the end.
func (o *Observer) run(all []*followed, updates <-chan netlink.LinkUpdate) []*followed {
	// A chain that was read in the middle of a change is read again soon.
	retry := time.NewTimer(0)
	defer retry.Stop()
	refresh := func(f *followed) {
		if !f.refresh() {
			retry.Reset(retryAfter)
		}
	}
	for {
		select {
		case <-o.stop:
			return all
		case u, ok := <-updates:
			if !ok {
				updates = nil
				continue
			}
			for _, f := range all {
				if f.iface.Index == int(u.Index) {
					f.emptied = f.emptied || stateOf(u.Link.Attrs()).mainID == 0
					refresh(f)
				}
			}
			if f := o.newcomer(all, u.Link.Attrs()); f != nil {
				all = append(all, f)
				refresh(f)
			}
		case <-retry.C:
			for _, f := range all {
				refresh(f)
			}
		case reply := <-o.ask:
			all = append(all, o.newcomers(all)...)
			s := &Snapshot{}
			for _, f := range all {
				refresh(f)
				c := f.snapshot()
				c.Out = f.out(c)
				s.Chains = append(s.Chains, c)
			}
			all = o.forget(all)
			s.Time = time.Now()
			reply <- s
		}
	}
}

const retryAfter = 20 * time.Millisecond

// Read tells what has been counted up to now.
func (o *Observer) Read() *Snapshot {
	reply := make(chan *Snapshot, 1)
	select {
	case o.ask <- reply:
		return <-reply
	case <-o.stop:
		return &Snapshot{Time: time.Now()}
	}
}

// Close ends the observation; the chains then run at their old cost.
func (o *Observer) Close() error {
	o.close.Do(func() {
		close(o.stop)
		<-o.done
	})
	return nil
}
