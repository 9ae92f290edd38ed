package main

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/xdpmux/xdpmux/cmd/internal/rates"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func component(id uint32, name string, priority uint32, v observe.Verdicts) observe.Program {
	return observe.Program{Loaded: xdp.Loaded{ID: id, Name: name}, Role: observe.RoleComponent, Priority: priority,
		Counts: observe.Counts{Packets: v.Sum(), Verdicts: v, HandedOn: v[xdp.Pass], Decided: v.Sum() - v[xdp.Pass]}}
}

// twoSnapshots are two seconds apart.
func twoSnapshots(opts observe.Options) (before, now *observe.Snapshot) {
	at := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	snapshot := func(at time.Time, first, second, gone observe.Verdicts) *observe.Snapshot {
		programs := []observe.Program{
			{Loaded: xdp.Loaded{ID: 42, Name: "xdp_dispatcher"}, Role: observe.RoleDispatcher,
				Counts: observe.Counts{Packets: first.Sum(), Verdicts: first, Decided: first.Sum()}},
			component(7, "count", 5, first),
			component(12, "a_drop", 10, second),
			component(9, "old", 20, gone),
			{Loaded: xdp.Loaded{ID: 30, Name: "nobtf"}, Role: observe.RoleComponent, Priority: 60, Blind: errors.New("it has no BTF")},
		}
		programs[2].Missed = 3
		programs[3].Gone = true
		if opts.Latency {
			programs[1].Times = &observe.Times{Packets: 4, Total: 500, Max: 200}
			programs[2].Times = &observe.Times{}
			programs[3].Times = &observe.Times{}
			programs[0].Times = &observe.Times{}
		}
		return &observe.Snapshot{Time: at, Chains: []observe.Chain{{Interface: xdp.Interface{Name: "eth0", Index: 2}, Programs: programs}}}
	}
	return snapshot(at, observe.Verdicts{2: 1_000_000}, observe.Verdicts{1: 10}, observe.Verdicts{5: 1}),
		snapshot(at.Add(2*time.Second), observe.Verdicts{2: 1_000_500}, observe.Verdicts{1: 2010, 2: 1}, observe.Verdicts{5: 1})
}

func TestStatsTable(t *testing.T) {
	for _, c := range []struct {
		opts observe.Options
		want string
	}{
		{observe.Options{}, `
eth0 at 15:04:07
  Prio  ID    Program         Packets  Packets/s  Handed on  Decided
        42    xdp_dispatcher  1000500      250.0          0  1000500
                XDP_PASS      1000500      250.0
     5   7    count           1000500      250.0    1000500        0
                XDP_PASS      1000500      250.0
    10  12    a_drop             2011     1000.5          1     2010
                XDP_DROP         2010     1000.0
                XDP_PASS            1        0.5
                missed              3
    20   9    old (gone)            1        0.0          0        1
                other               1        0.0
    60  30    nobtf
              not observed: it has no BTF
`},
		{observe.Options{Latency: true}, `
eth0 at 15:04:07
  Prio  ID    Program         Packets  Packets/s  Handed on  Decided  Mean ns  p50  p90  p99  Max
        42    xdp_dispatcher  1000500      250.0          0  1000500        0    0    0    0    0
                XDP_PASS      1000500      250.0
     5   7    count           1000500      250.0    1000500        0      125  200  200  200  200
                XDP_PASS      1000500      250.0
    10  12    a_drop             2011     1000.5          1     2010        0    0    0    0    0
                XDP_DROP         2010     1000.0
                XDP_PASS            1        0.5
                missed              3
    20   9    old (gone)            1        0.0          0        1        0    0    0    0    0
                other               1        0.0
    60  30    nobtf
              not observed: it has no BTF
`},
	} {
		before, now := twoSnapshots(c.opts)
		var b strings.Builder
		if err := renderStats(&b, rates.Of(before, now), c.opts); err != nil {
			t.Fatal(err)
		}
		var lines []string
		for line := range strings.Lines(b.String()) {
			lines = append(lines, strings.TrimRight(line, " \n"))
		}
		if got := strings.Join(lines, "\n"); got != strings.TrimPrefix(c.want, "\n") {
			t.Errorf("%+v: got\n%s\nwant%s", c.opts, got, c.want)
		}
	}
}

// drawn is what a screen of the size that s has shows.
func drawn(t *testing.T, s *topScreen) (lines []string) {
	t.Helper()
	screen := tcell.NewSimulationScreen("UTF-8")
	must(t, screen.Init())
	defer screen.Fini()
	screen.SetSize(s.width, s.height)
	s.draw(screen)
	cells, width, _ := screen.GetContents()
	for i := 0; i < len(cells); i += width {
		var line strings.Builder
		for _, cell := range cells[i : i+width] {
			line.WriteString(string(cell.Runes))
		}
		lines = append(lines, strings.TrimRight(line.String(), " "))
	}
	return lines
}

// What fits is shown, whatever the size; the keys bring the other columns.
func TestTopSizes(t *testing.T) {
	before, now := twoSnapshots(observe.Options{})
	now.Chains[0].Programs[1].Packets += 1 << 40 // more than 32 bits
	now.Chains[0].Programs[1].HandedOn += 1 << 40
	s := newTopScreen(func() *observe.Snapshot { return before }, time.Second, observe.Options{})
	s.stats = rates.Of(before, now)
	for _, c := range []struct {
		width, height int
		keys          string
		want          []string
	}{
		{100, 9, "", []string{
			"xdpmux top  15:04:07  sorted by chain",
			"Prio ID Program             Packets/s              Handed on Decided  Verdicts",
			"eth0",
			"     42 xdp_dispatcher          250.0                      0 1000500  PASS 100%",
			"   5  7 count          549755814138.0          1099512628276       0  PASS 0%",
			"  10 12 a_drop                 1000.5                      1    2010  DROP 100% PASS 0%",
			"  20  9 old (gone)                0.0                      0       1  other 100%",
			"  60 30 nobtf          not observed: it has no BTF",
			" ? help  q quit  s sort  r reverse  p pause"}},
		{40, 6, "", []string{
			"xdpmux top  15:04:07  sorted by chain",
			"Prio ID Program           Packets/s",
			"eth0",
			"     42 xdp_dispatch          250.0",
			"   5  7 count        549755814138.0",
			" ? help  q quit  s sort  r reverse  p pa"}},
		{40, 6, "ll", []string{
			"xdpmux top  15:04:07  sorted by chain",
			"Prio ID Program          Handed on",
			"eth0",
			"     42 xdp_dispatch             0",
			"   5  7 count        1099512628276",
			" ? help  q quit  s sort  r reverse  p pa"}},
		{40, 6, "lllllllljj", []string{
			"xdpmux top  15:04:07  sorted by chain",
			"Prio ID Program       Verdicts",
			"   5  7 count         PASS 0%",
			"  10 12 a_drop        DROP 100% PASS 0%",
			"  20  9 old (gone)    other 100%",
			" ? help  q quit  s sort  r reverse  p pa"}},
		{40, 6, "p?", []string{
			"xdpmux top  15:04:07  paused  sorted by",
			"",
			"s            sort by chain, rate, drops,",
			"r            turn the order around",
			"p, space     pause, and go on",
			" ? help  q quit  s sort  r reverse  p pa"}},
		{39, 6, "", []string{"too small: needs 40x6", "", "", "", "", ""}},
		{1, 1, "", []string{"t"}},
	} {
		s.width, s.height, s.column, s.offset, s.paused, s.help = c.width, c.height, 0, 0, false, false
		for _, r := range c.keys {
			s.key(tcell.NewEventKey(tcell.KeyRune, r, tcell.ModNone))
		}
		if diff := cmp.Diff(c.want, drawn(t, s)); diff != "" {
			t.Errorf("%dx%d after %q (-want +got):\n%s", c.width, c.height, c.keys, diff)
		}
	}
	for _, size := range [][2]int{{500, 200}, {3, 200}, {500, 1}} {
		s.width, s.height = size[0], size[1]
		drawn(t, s)
	}
	// Names of several columns for a letter.
	now.Chains[0].Interface.Name, s.width, s.height, s.help = "程\x1b[31m序", 40, 6, false
	s.stats = rates.Of(before, now)
	if got := drawn(t, s)[2]; strings.ReplaceAll(got, "X", "") != `程\x1b[31m序` {
		t.Errorf("%q", got)
	}
}

// s goes through the orders, r turns each around, and the dispatcher stays on top.
func TestTopOrders(t *testing.T) {
	before, now := twoSnapshots(observe.Options{})
	s := newTopScreen(func() *observe.Snapshot { return before }, time.Second, observe.Options{})
	s.width, s.height = 80, 24
	s.stats = rates.Of(before, now)
	press := func(r rune) {
		if s.key(tcell.NewEventKey(tcell.KeyRune, r, tcell.ModNone)) {
			t.Fatalf("%c ended top", r)
		}
	}
	for _, c := range []struct{ key, order, want string }{
		{"", "chain", "xdp_dispatcher count a_drop old nobtf"},
		{"r", "chain, reversed", "xdp_dispatcher nobtf old a_drop count"},
		{"rs", "rate", "xdp_dispatcher a_drop count old nobtf"},
		{"r", "rate, reversed", "xdp_dispatcher nobtf old count a_drop"},
		{"rs", "drops", "xdp_dispatcher a_drop count old nobtf"},
		{"s", "name", "xdp_dispatcher a_drop count nobtf old"},
		{"r", "name, reversed", "xdp_dispatcher old nobtf count a_drop"},
		{"rs", "chain", "xdp_dispatcher count a_drop old nobtf"},
	} {
		for _, r := range c.key {
			press(r)
		}
		lines := drawn(t, s)
		if !strings.HasSuffix(strings.TrimRight(lines[0], " "), "sorted by "+c.order) {
			t.Errorf("%q: title %q, want %s", c.key, lines[0], c.order)
		}
		if keys := lines[len(lines)-1]; !strings.Contains(keys, "? help  q quit  s sort  r reverse  p pause") {
			t.Errorf("keys: %q", keys)
		}
		var names []string
		for _, line := range lines[3:] {
			if name := regexp.MustCompile(`^[ \d]{7} (\w+)`).FindStringSubmatch(line); name != nil {
				names = append(names, name[1])
			}
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%s: got %s, want %s", c.order, got, c.want)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
