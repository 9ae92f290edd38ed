package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/mattn/go-isatty"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/cmd/internal/rates"
	"github.com/xdpmux/xdpmux/cmd/internal/terminal"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func top(c *cli.Context, out *output.Printer) error {
	interval, err := cmdline.ParseInterval(c.String("interval"))
	if err != nil {
		return err
	}
	stdout, ok := terminal.File(out.Stdout)
	if !ok || !isatty.IsTerminal(stdout.Fd()) || !isatty.IsTerminal(os.Stdin.Fd()) {
		return cmdline.UsageError("top needs a terminal", "xdpmux stats prints the same")
	}
	if _, err := tcell.LookupTerminfo(os.Getenv("TERM")); err != nil {
		return &xdp.Error{Kind: xdp.ErrInvalid, Err: err,
			Msg:    fmt.Sprintf("top can't draw on a terminal of the type %q (TERM)", os.Getenv("TERM")),
			Remedy: "xdpmux stats prints the same; if TERM is wrong, set it, such as TERM=xterm"}
	}
	opts := observe.Options{Latency: c.Bool("latency")}
	o, err := observe.Open(c.Context, cmdline.InterfaceArgs(c.Args().Slice()), opts)
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
	stats         rates.Report
	history       map[programKey][]float64 // packets per second, the newest last
	order         int                      // index of topOrders
	reversed      bool
	offset        int // lines scrolled
	column        int // index of the first column shown
	paused        bool
	help          bool   // the keys are shown instead of the table
	suspend       bool   // a key has asked for it
	bars          []rune // what the terminal can display
}

// programKey tells programs apart over time; a dispatcher's id changes.
type programKey struct {
	ifindex int
	role    observe.Role
	id      uint32
}

func keyOf(c rates.Chain, p rates.Program) programKey {
	key := programKey{c.Interface.Index, p.Role, p.ID}
	if p.Role == observe.RoleDispatcher {
		key.id = 0
	}
	return key
}

func newTopScreen(read func() *observe.Snapshot, interval time.Duration, opts observe.Options) *topScreen {
	first := read()
	return &topScreen{read: read, interval: interval, opts: opts, before: first,
		stats: rates.Of(first, first), history: map[programKey][]float64{}, bars: unicodeBars}
}

// The least screen that shows one chain of one program, and the keys.
const topMinWidth, topMinHeight = 40, 6

// historyLen is how many rates are kept for the sparkline.
const historyLen = 8

// run takes the terminal, and gives it back as it was when a key or ctx ends it.
func (s *topScreen) run(ctx context.Context) error {
	flags, err := unix.FcntlInt(os.Stdin.Fd(), unix.F_GETFL, 0)
	if err != nil {
		return fmt.Errorf("top: %w", err)
	}
	// tcell leaves the terminal non-blocking: whoever reads from it next, such as a shell's
	// script, fails, and so does tcell after a suspend.
	defer setFlags(flags)
	setFlags(flags &^ unix.O_NONBLOCK)
	tcell.SetEncodingFallback(tcell.EncodingFallbackASCII) // of character sets that it doesn't have
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
		return &xdp.Error{Kind: xdp.ErrInvalid,
			Msg:    fmt.Sprintf("the terminal has %d columns and %d lines, and top needs %d and %d", s.width, s.height, topMinWidth, topMinHeight),
			Remedy: "enlarge it, or use: xdpmux stats"}
	}
	if !terminal.CanDisplay(unicodeBars[0], false) {
		s.bars = asciiBars
	}
	tick := time.NewTicker(s.interval)
	defer tick.Stop()
	for {
		s.width, s.height = terminal.Size()
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
				terminal.Sync()
			case *tcell.EventKey:
				if s.key(event) {
					return nil
				}
				if s.suspend {
					s.suspend = false
					if err := suspend(terminal, flags); err != nil {
						return fmt.Errorf("top: %w", err)
					}
				}
			}
		}
	}
}

// suspend gives the terminal back and stops the process group until a shell continues it.
// flags are those that standard input had at the start.
func suspend(terminal tcell.Screen, flags int) error {
	if err := terminal.Suspend(); err != nil {
		return err
	}
	setFlags(flags)
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, unix.SIGCONT)
	defer signal.Stop(continued)
	if err := unix.Kill(0, unix.SIGTSTP); err != nil {
		return err
	}
	select {
	case <-continued:
	case <-time.After(stopLimit): // the kernel doesn't stop a group that no shell could continue
	}
	setFlags(flags &^ unix.O_NONBLOCK)
	return terminal.Resume()
}

// setFlags sets the file status flags of standard input, where it is a terminal that
// others use too (F_SETFL of fcntl(2), which can't fail for these).
func setFlags(flags int) { _, _ = unix.FcntlInt(os.Stdin.Fd(), unix.F_SETFL, flags) }

// stopLimit is longer than it takes a process to stop after it has sent itself the signal.
const stopLimit = 500 * time.Millisecond

func (s *topScreen) tooSmall() bool { return s.width < topMinWidth || s.height < topMinHeight }

// key does what a key stands for, and says whether that is the end.
func (s *topScreen) key(event *tcell.EventKey) (end bool) {
	switch event.Key() {
	case tcell.KeyCtrlC:
		return true
	case tcell.KeyCtrlZ:
		s.suspend = true
		return false
	}
	if s.help { // any key leaves it, but those that scroll
		switch {
		case event.Key() == tcell.KeyDown || event.Rune() == 'j':
			s.offset++
		case event.Key() == tcell.KeyUp || event.Rune() == 'k':
			s.offset = max(s.offset-1, 0)
		default:
			s.help, s.offset = false, 0
		}
		return false
	}
	switch event.Key() {
	case tcell.KeyEscape:
		return true
	case tcell.KeyRight:
		s.column++ // up to the last one, see table
	case tcell.KeyLeft:
		s.column = max(s.column-1, 0)
	case tcell.KeyDown:
		s.offset++
	case tcell.KeyUp:
		s.offset = max(s.offset-1, 0)
	case tcell.KeyRune:
		switch event.Rune() {
		case 'q':
			return true
		case '?':
			s.help, s.offset = true, 0
		case 'l':
			s.column++
		case 'h':
			s.column = max(s.column-1, 0)
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
	s.stats = rates.Of(s.before, now)
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
