//go:build !lean

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gdamore/tcell/v2"

	"github.com/xdpmux/xdpmux/dispatcher/observe"
)

// topOrders are the ways to sort the programs below their dispatcher.
var topOrders = []struct {
	name    string
	compare func(a, b programStats) int
}{
	{"chain", func(a, b programStats) int { return 0 }},
	{"rate", func(a, b programStats) int { return cmp.Compare(b.PerSecond, a.PerSecond) }},
	{"drops", func(a, b programStats) int {
		return cmp.Compare(b.Verdicts["XDP_DROP"].PerSecond, a.Verdicts["XDP_DROP"].PerSecond)
	}},
	{"name", func(a, b programStats) int { return strings.Compare(a.Name, b.Name) }},
}

var (
	boldStyle = tcell.StyleDefault.Bold(true)
	keysStyle = tcell.StyleDefault.Reverse(true)
)

// draw draws the whole screen; tcell sends what has changed.
func (s *topScreen) draw(terminal tcell.Screen) {
	terminal.Clear()
	put := func(y int, line string, style tcell.Style) {
		for x, r := range []rune(line) {
			terminal.SetContent(x, y, r, nil, style)
		}
	}
	if s.tooSmall() {
		put(0, fmt.Sprintf("too small: needs %dx%d", topMinWidth, topMinHeight), tcell.StyleDefault)
		terminal.Show()
		return
	}
	title := fmt.Sprintf("xdpmux top  %s  sorted by %s", s.stats.Time.Format(time.TimeOnly), topOrders[s.order].name)
	if s.reversed {
		title += ", reversed"
	}
	if s.paused {
		title += "  paused"
	}
	lines := s.chainLines()
	room := s.height - 3 // title, head and keys
	s.offset = min(s.offset, max(len(lines)-room, 0))
	lines = lines[s.offset:]
	lines = lines[:min(len(lines), room)]
	put(0, fit(title, s.width), boldStyle)
	put(1, fit(s.headLine(), s.width), boldStyle)
	for i, line := range lines {
		put(2+i, line, tcell.StyleDefault)
	}
	put(s.height-1, fit(" q quit  s sort  r reverse  p pause  up/down scroll", s.width), keysStyle)
	terminal.Show()
}

// fit cuts or fills a line of one-column characters to the width.
func fit(line string, width int) string {
	runes := []rune(line)
	if len(runes) > width {
		return string(runes[:width])
	}
	return line + strings.Repeat(" ", width-len(runes))
}

// The shares of the verdicts stand at the right, and are what a narrow terminal
// cuts off.
func (s *topScreen) headLine() string {
	head := fmt.Sprintf("%5s %-24s %12s %-*s", "Prio", "Program", "Packets/s", historyLen, "")
	if s.opts.Latency {
		head += fmt.Sprintf(" %8s %8s", "Mean ns", "p99")
	}
	return head + "  Verdicts"
}

func (s *topScreen) chainLines() []string {
	var lines []string
	for i, c := range s.stats.Chains {
		if i > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, fit(shown(c.Interface.Name), s.width))
		programs := slices.Clone(c.Programs)
		if len(programs) > 0 && programs[0].Role == observe.RoleDispatcher {
			slices.SortStableFunc(programs[1:], topOrders[s.order].compare)
			if s.reversed {
				slices.Reverse(programs[1:])
			}
		}
		for _, p := range programs {
			lines = append(lines, fit(s.programLine(c, p), s.width))
		}
	}
	return lines
}

func (s *topScreen) programLine(c chainStats, p programStats) string {
	prio := ""
	if p.Priority != nil {
		prio = strconv.FormatUint(uint64(*p.Priority), 10)
	}
	name := fit(shownName(p), 24)
	if p.NotObserved != "" {
		return fmt.Sprintf("%5s %s not observed: %s", prio, name, shown(p.NotObserved))
	}
	line := fmt.Sprintf("%5s %s %12.1f %s", prio, name, p.PerSecond, sparkline(s.history[keyOf(c, p)]))
	if s.opts.Latency {
		mean, p99 := "", ""
		if p.Latency != nil {
			mean, p99 = strconv.FormatInt(p.Latency.MeanNS, 10), strconv.FormatInt(p.Latency.P99NS, 10)
		}
		line += fmt.Sprintf(" %8s %8s", mean, p99)
	}
	return line + "  " + verdictShares(p)
}

// sparkline draws rates as bars, the highest as a full one.
func sparkline(rates []float64) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	highest := 0.
	for _, r := range rates {
		highest = max(highest, r)
	}
	var b strings.Builder
	for range historyLen - len(rates) {
		b.WriteByte(' ')
	}
	for _, r := range rates {
		bar := 0
		if highest > 0 {
			bar = int(r / highest * float64(len(bars)-1))
		}
		b.WriteRune(bars[bar])
	}
	return b.String()
}

// verdictShares are the parts that each verdict had in the packets so far.
func verdictShares(p programStats) string {
	var shares []string
	for _, name := range observe.VerdictNames() {
		if n := p.Verdicts[name].Packets; n > 0 {
			shares = append(shares, fmt.Sprintf("%s %.0f%%", strings.TrimPrefix(name, "XDP_"), 100*float64(n)/float64(p.Packets)))
		}
	}
	return strings.Join(shares, " ")
}
