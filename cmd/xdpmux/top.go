//go:build !lean

package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/mattn/go-isatty"
	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
)

func top(c *cli.Context, out *output) error {
	interval, err := parseInterval(c.String("interval"))
	if err != nil {
		return err
	}
	stdout, ok := fileOf(out.stdout)
	if !ok || !isatty.IsTerminal(stdout.Fd()) || !isatty.IsTerminal(os.Stdin.Fd()) {
		return usageError("top needs a terminal", "xdpmux stats prints the same")
	}
	opts := observe.Options{Latency: c.Bool("latency")}
	o, err := observe.Open(c.Context, interfaceArgs(c.Args().Slice()), opts)
	if err != nil {
		return err
	}
	defer o.Close()
	return newTopScreen(o.Read, interval, opts).run(c.Context)
}

// topScreen is what is shown, and how keys change it.
type topScreen struct {
	read     func() *observe.Snapshot
	interval time.Duration
	opts     observe.Options

	width, height int
	before        *observe.Snapshot
	stats         statsJSON
	history       map[programKey][]float64 // packets per second, the newest last
	order         int                      // index of topOrders
	reversed      bool
	offset        int // lines scrolled
	paused        bool
}

// programKey tells programs apart over time; a dispatcher's id changes.
type programKey struct {
	ifindex int
	role    observe.Role
	id      uint32
}

func keyOf(c chainStats, p programStats) programKey {
	key := programKey{c.Interface.Index, p.Role, p.ID}
	if p.Role == observe.RoleDispatcher {
		key.id = 0
	}
	return key
}

func newTopScreen(read func() *observe.Snapshot, interval time.Duration, opts observe.Options) *topScreen {
	first := read()
	return &topScreen{read: read, interval: interval, opts: opts, before: first,
		stats: statsOf(first, first), history: map[programKey][]float64{}}
}

// The least screen that shows one chain of one program, and the keys.
const topMinWidth, topMinHeight = 60, 8

// historyLen is how many rates are kept for the sparkline.
const historyLen = 12

// run takes the terminal, and gives it back as it was when a key or ctx ends it.
func (s *topScreen) run(ctx context.Context) error {
	tty, err := tcell.NewStdIoTty()
	if err != nil {
		return fmt.Errorf("top: %w", err)
	}
	terminal, err := tcell.NewTerminfoScreenFromTty(tty)
	if err == nil {
		err = terminal.Init()
	}
	if err != nil {
		return fmt.Errorf("top: %w", err)
	}
	events, quit := make(chan tcell.Event), make(chan struct{})
	go terminal.ChannelEvents(events, quit)
	defer func() {
		terminal.Fini()
		close(quit)
		for range events { // until the goroutine has closed it
		}
	}()
	if s.width, s.height = terminal.Size(); s.tooSmall() {
		return &dispatcher.Error{Kind: dispatcher.ErrInvalid,
			Msg:    fmt.Sprintf("the terminal has %d columns and %d lines, and top needs %d and %d", s.width, s.height, topMinWidth, topMinHeight),
			Remedy: "enlarge it, or use: xdpmux stats"}
	}
	tick := time.NewTicker(s.interval)
	defer tick.Stop()
	for {
		s.draw(terminal)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if !s.paused {
				s.refresh()
			}
		case event := <-events:
			switch event := event.(type) {
			case *tcell.EventResize:
				s.width, s.height = event.Size()
				terminal.Sync()
			case *tcell.EventKey:
				if s.key(event) {
					return nil
				}
			}
		}
	}
}

func (s *topScreen) tooSmall() bool { return s.width < topMinWidth || s.height < topMinHeight }

// key does what a key stands for, and says whether that is the end.
func (s *topScreen) key(event *tcell.EventKey) (end bool) {
	switch event.Key() {
	case tcell.KeyCtrlC, tcell.KeyEscape:
		return true
	case tcell.KeyDown:
		s.offset++
	case tcell.KeyUp:
		s.offset = max(s.offset-1, 0)
	case tcell.KeyRune:
		switch event.Rune() {
		case 'q':
			return true
		case 's':
			s.order = (s.order + 1) % len(topOrders)
		case 'r':
			s.reversed = !s.reversed
		case 'p', ' ':
			s.paused = !s.paused
		case 'j':
			s.offset++
		case 'k':
			s.offset = max(s.offset-1, 0)
		}
	}
	return false
}

func (s *topScreen) refresh() {
	now := s.read()
	s.stats = statsOf(s.before, now)
	s.before = now
	seen := map[programKey][]float64{}
	for _, c := range s.stats.Chains {
		for _, p := range c.Programs {
			key := keyOf(c, p)
			rates := append(s.history[key], p.PerSecond)
			seen[key] = rates[max(len(rates)-historyLen, 0):]
		}
	}
	s.history = seen
}
