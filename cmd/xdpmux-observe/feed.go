package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
)

// interfaces are those of the first argument, each once.
func interfaces(c *cli.Context) (names []string) {
	for _, name := range cmdline.SplitNames(c.Args().First()) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// source is an interface that is traced.
type source struct {
	*observe.Live
	ifname string
}

// taken is what was looked at on an interface.
type taken struct {
	observe.Taken
	ifname string
}

// feed is the packets of one interface, or of several in one order of time.
type feed struct {
	sources []*source

	// Of several:
	packets chan fed
	waiting []fed // in the order of their times
	ended   bool  // all sources have
	cancel  context.CancelFunc
	quit    chan struct{} // nobody takes further packets
	running sync.WaitGroup
	stopped sync.Once
}

// fed is a packet of a source, or why there is none.
type fed struct {
	*observe.Trace
	from *source
	err  error
}

// A packet waits so long for an earlier one of another source, which looks for packets about every
// 25 ms. If too many wait, the first goes.
const (
	patience   = 500 * time.Millisecond
	maxWaiting = 1 << 14
)

func openFeed(ctx context.Context, ifnames []string, options observe.LiveOptions) (*feed, error) {
	f := &feed{packets: make(chan fed, 256), quit: make(chan struct{}), cancel: func() {}}
	for _, name := range ifnames {
		l, err := observe.OpenLive(ctx, name, options)
		if err != nil {
			return nil, errors.Join(err, f.close())
		}
		f.sources = append(f.sources, &source{l, name})
	}
	return f, nil
}

// start begins to read several sources, until ctx ends.
func (f *feed) start(ctx context.Context) {
	if len(f.sources) == 1 {
		return
	}
	ctx, f.cancel = context.WithCancel(ctx)
	for _, s := range f.sources {
		f.running.Add(1)
		go func() {
			defer f.running.Done()
			for {
				t, err := nextPacket(ctx, s.Live)
				select {
				case f.packets <- fed{t, s, err}:
				case <-f.quit:
					return
				}
				if err != nil {
					return
				}
			}
		}()
	}
	go func() {
		f.running.Wait()
		close(f.packets)
	}()
}

// next waits for a packet until ctx ends, and in the end returns [io.EOF].
func (f *feed) next(ctx context.Context) (*observe.Trace, *source, error) {
	if len(f.sources) == 1 {
		t, err := nextPacket(ctx, f.sources[0].Live)
		return t, f.sources[0], err
	}
	for !f.ready() {
		if f.ended {
			return nil, nil, io.EOF
		}
		var due <-chan time.Time
		if len(f.waiting) > 0 {
			due = time.After(patience - time.Since(f.waiting[0].Time))
		}
		select {
		case p, ok := <-f.packets:
			switch {
			case !ok:
				f.ended = true
			case errors.Is(p.err, io.EOF):
			case p.err != nil:
				return nil, nil, p.err
			default:
				f.wait(p)
			}
		case <-due:
		}
	}
	p := f.waiting[0]
	f.waiting = f.waiting[1:]
	return p.Trace, p.from, nil
}

// wait puts a packet behind those that are not later.
func (f *feed) wait(p fed) {
	at := len(f.waiting)
	for at > 0 && f.waiting[at-1].Time.After(p.Time) {
		at--
	}
	f.waiting = slices.Insert(f.waiting, at, p)
}

// recycle gives back a packet that next has returned, and nobody needs any more. Of several sources each is
// read by a goroutine of its own, and the memory stays with the packet.
func (f *feed) recycle(t *observe.Trace) {
	if len(f.sources) == 1 {
		f.sources[0].Recycle(t)
	}
}

// ready says whether next returns at once.
func (f *feed) ready() bool {
	if len(f.sources) == 1 {
		return f.sources[0].Ready()
	}
	n := len(f.waiting)
	return n > 0 && (f.ended || n > maxWaiting || time.Since(f.waiting[0].Time) >= patience)
}

// stop ends the reading of several sources. Only then they may be asked for what they counted.
func (f *feed) stop() {
	f.stopped.Do(func() {
		f.cancel()
		close(f.quit)
		f.running.Wait()
	})
}

func (f *feed) taken() (all []taken) {
	for _, s := range f.sources {
		for _, t := range s.Taken() {
			all = append(all, taken{t, s.ifname})
		}
	}
	return all
}

func (f *feed) missed() (n uint64) {
	for _, s := range f.sources {
		n += s.Missed()
	}
	return n
}

func (f *feed) lost() (n uint64) {
	for _, s := range f.sources {
		n += s.Lost()
	}
	return n
}

func (f *feed) close() error {
	f.stop()
	var errs []error
	for _, s := range f.sources {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// nextPacket waits for a packet of l until ctx ends, and then returns those that have come before,
// and in the end [io.EOF].
func nextPacket(ctx context.Context, l *observe.Live) (*observe.Trace, error) {
	t, err := l.Next(ctx)
	if err == nil || ctx.Err() == nil {
		return t, err
	}
	if err := l.Stop(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	if !l.Ready() {
		return nil, io.EOF
	}
	return l.Next(ctx)
}
