package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/mattn/go-runewidth"

	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/cmd/internal/rates"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
)

// topOrders are the ways to sort the programs below their dispatcher.
var topOrders = []struct {
	name    string
	compare func(a, b rates.Program) int
}{
	{"chain", func(a, b rates.Program) int { return 0 }},
	{"rate", func(a, b rates.Program) int { return cmp.Compare(b.PerSecond, a.PerSecond) }},
	{"drops", func(a, b rates.Program) int {
		return cmp.Compare(b.Verdicts["XDP_DROP"].PerSecond, a.Verdicts["XDP_DROP"].PerSecond)
	}},
	{"name", func(a, b rates.Program) int { return strings.Compare(a.Name, b.Name) }},
}

// topHelp is what the key ? shows.
var topHelp = []string{
	"s            sort by chain, rate, drops, name",
	"r            turn the order around",
	"p, space     pause, and go on",
	"up, down     scroll; k and j too",
	"left, right  further columns; h and l too",
	"Ctrl-Z       suspend; fg goes on",
	"q, Esc       quit",
	"",
	"Decided: its verdict became the chain's",
	"Handed on: its verdict didn't",
}

var (
	boldStyle = tcell.StyleDefault.Bold(true)
	keysStyle = tcell.StyleDefault.Reverse(true)
)

// draw draws the whole screen; tcell sends what has changed.
func (s *topScreen) draw(terminal tcell.Screen) {
	terminal.Clear()
	put := func(y int, line string, style tcell.Style) {
		x := 0
		for _, r := range fit(line, s.width) {
			if w := runewidth.RuneWidth(r); w > 0 {
				terminal.SetContent(x, y, r, nil, style)
				x += w
			}
		}
	}
	defer terminal.Show()
	if s.tooSmall() {
		put(0, fmt.Sprintf("too small: needs %dx%d", topMinWidth, topMinHeight), tcell.StyleDefault)
		return
	}
	title := fmt.Sprintf("xdpmux top  %s  ", s.stats.Time.Format(time.TimeOnly))
	if s.paused {
		title += "paused  "
	}
	title += "sorted by " + topOrders[s.order].name
	if s.reversed {
		title += ", reversed"
	}
	put(0, title, boldStyle)
	put(s.height-1, " ? help  q quit  s sort  r reverse  p pause", keysStyle)
	head, lines := "", topHelp
	if !s.help {
		head, lines = s.table()
	}
	room := s.height - 3 // title, head and keys
	s.offset = min(s.offset, max(len(lines)-room, 0))
	lines = lines[s.offset:]
	put(1, head, boldStyle)
	for i, line := range lines[:min(len(lines), room)] {
		put(2+i, line, tcell.StyleDefault)
	}
}

// fit cuts or fills a line to so many columns of the screen.
func fit(line string, width int) string {
	return runewidth.FillRight(runewidth.Truncate(line, width, ""), width)
}

// topColumn is a column to the right of the program's name.
type topColumn struct {
	head string
	left bool // its text stands to the left
	cell func(c rates.Chain, p rates.Program) string
}

func (s *topScreen) columns() []topColumn {
	columns := []topColumn{
		{"Packets/s", false, func(_ rates.Chain, p rates.Program) string { return fmt.Sprintf("%.1f", p.PerSecond) }},
		{fit("", historyLen), true, func(c rates.Chain, p rates.Program) string { return sparkline(s.history[keyOf(c, p)], s.bars) }},
		{"Handed on", false, func(_ rates.Chain, p rates.Program) string { return strconv.FormatUint(p.HandedOn, 10) }},
		{"Decided", false, func(_ rates.Chain, p rates.Program) string { return strconv.FormatUint(p.Decided, 10) }},
	}
	if s.opts.Latency {
		latency := func(get func(*rates.Latency) int64) func(rates.Chain, rates.Program) string {
			return func(_ rates.Chain, p rates.Program) string {
				if p.Latency == nil {
					return ""
				}
				return strconv.FormatInt(get(p.Latency), 10)
			}
		}
		columns = append(columns,
			topColumn{"Mean ns", false, latency(func(l *rates.Latency) int64 { return l.MeanNS })},
			topColumn{"p99", false, latency(func(l *rates.Latency) int64 { return l.P99NS })})
	}
	return append(columns, topColumn{" Verdicts", true, func(_ rates.Chain, p rates.Program) string { return " " + verdictShares(p) }})
}

// topRow is a line of the table.
type topRow struct {
	chain        rates.Chain
	program      *rates.Program // nil: it names the interface
	prio, id     string
	name, reason string
	cells        []string
}

func (s *topScreen) rows(columns []topColumn) []topRow {
	var rows []topRow
	for _, c := range s.stats.Chains {
		rows = append(rows, topRow{chain: c})
		programs := slices.Clone(c.Programs)
		if len(programs) > 0 && programs[0].Role == observe.RoleDispatcher {
			slices.SortStableFunc(programs[1:], topOrders[s.order].compare)
			if s.reversed {
				slices.Reverse(programs[1:])
			}
		}
		for _, p := range programs {
			row := topRow{chain: c, program: &p, id: strconv.FormatUint(uint64(p.ID), 10), name: p.Shown()}
			if p.Priority != nil {
				row.prio = strconv.FormatUint(uint64(*p.Priority), 10)
			}
			if p.NotObserved != "" {
				row.reason = "not observed: " + output.Shown(p.NotObserved)
			}
			for _, column := range columns {
				row.cells = append(row.cells, column.cell(c, p))
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// The least and the most columns of the screen that a program's name has, as far as it
// needs them.
const minName, maxName = 12, 24

// table is the table's head and lines. It leaves out columns that don't fit; the keys left
// and right choose the first one.
func (s *topScreen) table() (head string, lines []string) {
	columns := s.columns()
	rows := s.rows(columns)
	prio, id, name := len("Prio"), len("ID"), len("Program")
	widths := make([]int, len(columns))
	for i, column := range columns {
		widths[i] = runewidth.StringWidth(column.head)
	}
	for _, row := range rows {
		prio, id, name = max(prio, len(row.prio)), max(id, len(row.id)), max(name, runewidth.StringWidth(row.name))
		for i, cell := range row.cells {
			if row.reason == "" {
				widths[i] = max(widths[i], runewidth.StringWidth(cell))
			}
		}
	}
	name = min(name, max(minName, min(maxName, s.width*3/10)))
	s.column = min(s.column, len(columns)-1)
	line := func(prioText, idText, nameText string, cells []string) string {
		text := fmt.Sprintf("%*s %*s %s", prio, prioText, id, idText, fit(nameText, name))
		used := prio + 1 + id + 1 + name
		for i := s.column; i < len(columns); i++ {
			last := i == len(columns)-1
			if used += 1 + widths[i]; used > s.width && i > s.column && !last {
				break
			}
			cell := cells[i]
			if !columns[i].left {
				cell = runewidth.FillLeft(cell, widths[i])
			} else if !last {
				cell = fit(cell, widths[i])
			}
			text += " " + cell
		}
		return text
	}
	heads := make([]string, len(columns))
	for i, column := range columns {
		heads[i] = column.head
	}
	for i, row := range rows {
		switch {
		case row.program == nil:
			if i > 0 {
				lines = append(lines, "")
			}
			lines = append(lines, output.Shown(row.chain.Interface.Name))
		case row.reason != "":
			lines = append(lines, fmt.Sprintf("%*s %*s %s %s", prio, row.prio, id, row.id, fit(row.name, name), row.reason))
		default:
			lines = append(lines, line(row.prio, row.id, row.name, row.cells))
		}
	}
	return line("Prio", "ID", "Program", heads), lines
}

// The bars of a sparkline, from the lowest to the highest, and those for a terminal
// without them.
var unicodeBars, asciiBars = []rune("▁▂▃▄▅▆▇█"), []rune("_.-:=+*#")

// sparkline draws rates as bars, the highest as a full one.
func sparkline(rates []float64, bars []rune) string {
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
func verdictShares(p rates.Program) string {
	var shares []string
	for _, name := range observe.VerdictNames() {
		if n := p.Verdicts[name].Packets; n > 0 {
			shares = append(shares, fmt.Sprintf("%s %.0f%%", strings.TrimPrefix(name, "XDP_"), 100*float64(n)/float64(p.Packets)))
		}
	}
	return strings.Join(shares, " ")
}
