package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/mattn/go-isatty"
	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
)

func topCommand(out *output) *cli.Command {
	return &cli.Command{
		Name:      "top",
		Usage:     "watch what the programs of one chain, or of all, do to packets",
		ArgsUsage: "[ifname]",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "interval", Aliases: []string{"i"}, Value: "1s", Usage: "refresh every `TIME`, such as 500ms or 10s"},
			&cli.BoolFlag{Name: "latency", Usage: "measure how long each program takes, which about doubles the cost of counting"},
		},
		Action: func(c *cli.Context) error { return top(c, out) },
	}
}

func top(c *cli.Context, out *output) error {
	if c.NArg() > 1 {
		return usageError("top takes one interface, or none for all", "xdpmux top [ifname]")
	}
	interval, err := parseInterval(c.String("interval"))
	if err != nil {
		return err
	}
	stdout, ok := out.stdout.(*os.File)
	if !ok || !isatty.IsTerminal(stdout.Fd()) || !isatty.IsTerminal(os.Stdin.Fd()) {
		return usageError("top needs a terminal", "xdpmux stats prints the same")
	}
	opts := observe.Options{Latency: c.Bool("latency")}
	o, err := observe.Open(c.Context, c.Args().Slice(), opts)
	if err != nil {
		return err
	}
	defer o.Close()
	screen := newTopScreen(o.Read, interval, opts)
	final, err := tea.NewProgram(screen, tea.WithContext(c.Context), tea.WithAltScreen(), tea.WithOutput(stdout)).Run()
	if c.Context.Err() != nil || errors.Is(err, tea.ErrInterrupted) {
		return nil
	}
	if err != nil {
		return err
	}
	return final.(*topScreen).err
}

// topScreen is bubbletea's model: what is shown, and how keys change it.
type topScreen struct {
	read     func() *observe.Snapshot
	interval time.Duration
	opts     observe.Options

	width, height int
	before        *observe.Snapshot
	stats         statsJSON
	history       map[programKey][]float64 // packets per second, the newest last
	order         int                      // index of topOrders
	offset        int                      // lines scrolled
	paused        bool
	err           error
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

type topTick struct{}

func (s *topScreen) tick() tea.Cmd {
	return tea.Tick(s.interval, func(time.Time) tea.Msg { return topTick{} })
}

// Init starts the clock.
func (s *topScreen) Init() tea.Cmd { return s.tick() }

// Update takes a key, a new size or a tick.
func (s *topScreen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		first := s.width == 0
		s.width, s.height = msg.Width, msg.Height
		if first && s.tooSmall() {
			s.err = &dispatcher.Error{Kind: dispatcher.ErrInvalid,
				Msg:    fmt.Sprintf("the terminal has %d columns and %d lines, and top needs %d and %d", s.width, s.height, topMinWidth, topMinHeight),
				Remedy: "enlarge it, or use: xdpmux stats"}
			return s, tea.Quit
		}
	case topTick:
		if !s.paused {
			s.refresh()
		}
		return s, s.tick()
	case tea.KeyMsg:
		return s, s.key(msg.String())
	}
	return s, nil
}

func (s *topScreen) tooSmall() bool { return s.width < topMinWidth || s.height < topMinHeight }

func (s *topScreen) key(key string) tea.Cmd {
	switch key {
	case "q", "ctrl+c", "esc":
		return tea.Quit
	case "s":
		s.order = (s.order + 1) % len(topOrders)
	case "p", " ":
		s.paused = !s.paused
	case "down", "j":
		s.offset++
	case "up", "k":
		s.offset = max(s.offset-1, 0)
	}
	return nil
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
