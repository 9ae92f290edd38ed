package picture

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

// Style is the style sheet of a picture. It has the colours of the words too, light and dark.
const Style = `
.xdpmux { --ink: #1c2430; --soft: #5b6675; --paper: #ffffff; --box: #eef2f7; --edge: #aab4c2; --stream: #c3cedb;
  --pass: #2f8f5b; --drop: #c8402f; --aborted: #8b46a8; --tx: #2b74c4; --redirect: #b07407; --other: #6f7782; }
@media (prefers-color-scheme: dark) { .xdpmux { --ink: #e6ebf2; --soft: #9aa7b8; --paper: #12161c; --box: #212936; --edge: #4b586a; --stream: #394556;
  --pass: #4dbd80; --drop: #ef6a58; --aborted: #bd80d8; --tx: #62a4ee; --redirect: #dfa23a; --other: #98a2ae; } }
.xdpmux text { font: 13px system-ui, sans-serif; fill: var(--ink); }
.xdpmux .paper { fill: var(--paper); }
.xdpmux .name { font-weight: 600; }
.xdpmux .soft { fill: var(--soft); font-size: 12px; }
.xdpmux .box { fill: var(--box); stroke: var(--edge); }
.xdpmux .stream { fill: none; stroke: var(--stream); }
.xdpmux .none { stroke-dasharray: 3 4; }
.xdpmux .XDP_PASS { stroke: var(--pass); } .xdpmux .XDP_DROP { stroke: var(--drop); } .xdpmux .XDP_ABORTED { stroke: var(--aborted); }
.xdpmux .XDP_TX { stroke: var(--tx); } .xdpmux .XDP_REDIRECT { stroke: var(--redirect); } .xdpmux .other { stroke: var(--other); }
`

// The layout, in pixels.
const (
	margin    = 16
	headRow   = 26  // from the interface's name to what is below it
	entry     = 92  // where the packets come in
	boxWidth  = 168 // of a program
	boxHeight = 66
	gap       = 96 // between programs: the stream that is handed on, and its number
	exit      = 150
	widest    = 34  // of a stream: as many packets as the interface has
	thinnest  = 1.5 // of a stream of few packets
	endRow    = 20  // from one verdict's end to the next
	nameRunes = 18  // of a program's name, as far as the box is wide
)

// Write draws chains one below the other, as a picture that stands for itself.
func Write(w io.Writer, title string, chains []Chain) error {
	var d drawing
	width, height := 320.0, float64(margin)
	for _, c := range chains {
		width = max(width, c.width())
		height += c.height()
	}
	d.open(width, height, title)
	d.printf(`<style>%s</style><rect class="paper" width="100%%" height="100%%"/>`, Style)
	top := float64(margin)
	for _, c := range chains {
		d.chain(c, top)
		top += c.height()
	}
	if len(chains) == 0 {
		d.text(margin, 2*margin, "", "no XDP program on any interface")
	}
	d.printf("</svg>\n")
	_, err := w.Write(d.Bytes())
	return err
}

// Inline is one chain as a part of a page that has [Style] itself.
func Inline(c Chain) string {
	var d drawing
	d.open(c.width(), c.height()+margin, "the chain on "+c.Interface)
	d.chain(c, margin)
	d.printf("</svg>")
	return d.String()
}

func (c Chain) width() float64 {
	n := float64(max(len(c.Programs), 1))
	return margin + entry + n*boxWidth + (n-1)*gap + exit + margin
}

func (c Chain) height() float64 {
	rows := 0
	for i, p := range c.Programs {
		rows = max(rows, len(c.downward(i, p)))
	}
	return headRow + boxHeight + float64(rows+1)*endRow + margin
}

// downward are the verdicts of a program with which packets leave the chain below it. Those
// that the last one passes leave to the right.
func (c Chain) downward(i int, p Program) (ends []Verdict) {
	for _, v := range p.Verdicts {
		if v.Decided.Packets > 0 && (i < len(c.Programs)-1 || v.Name != "XDP_PASS") {
			ends = append(ends, v)
		}
	}
	return ends
}

// drawing is an SVG that is being written.
type drawing struct{ bytes.Buffer }

func (d *drawing) printf(format string, args ...any) { fmt.Fprintf(d, format, args...) }

// escaped is text as an element or an attribute has it.
func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes all
	return b.String()
}

func (d *drawing) open(width, height float64, title string) {
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" class="xdpmux" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">`,
		width, height, width, height, escaped(title))
}

func (d *drawing) text(x, y float64, class, text string) {
	d.printf(`<text class="%s" x="%.1f" y="%.1f">%s</text>`, class, x, y, escaped(text))
}

// fit is text that is at most so many characters long.
func fit(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}

// chain draws one chain below top.
func (d *drawing) chain(c Chain, top float64) {
	note := c.Note
	if c.Counted {
		note = strings.TrimSuffix(exactly(c.Total)+", "+note, ", ")
	}
	d.printf(`<g class="chain">`)
	d.printf(`<text x="%d" y="%.1f"><tspan class="name">%s</tspan><tspan class="soft" dx="10">%s</tspan></text>`,
		margin, top+13, escaped(c.Interface), escaped(note))
	boxTop := top + headRow
	middle := boxTop + boxHeight/2
	x := float64(margin + entry)
	if len(c.Programs) == 0 {
		d.text(margin, middle, "soft", "no XDP program")
	} else {
		first := c.Programs[0]
		d.stream(c, "", first.Total, x-entry, middle, x, middle, "packets that come to "+first.Name)
		d.amount(c, first.Total, x-entry+4, middle-widest/2-5)
	}
	for i, p := range c.Programs {
		d.program(c, i, p, x, boxTop)
		x += boxWidth
		last := i == len(c.Programs)-1
		if last {
			d.exit(c, p, x, middle)
			break
		}
		on := p.handedOn()
		d.stream(c, "", on, x, middle, x+gap, middle, p.Name+" hands on")
		if c.Counted {
			d.amount(c, on, x+6, middle-widest/2-5)
		} else {
			d.printf(`<text class="soft" x="%.1f" y="%.1f"><title>%s</title>%s</text>`, x+4, middle-6,
				escaped("runs the next program after "+p.Passes), escaped(fit(short(p.Passes), 13)))
		}
		x += gap
	}
	d.printf(`</g>`)
}

// program draws a program's box, and the packets that leave the chain there.
func (d *drawing) program(c Chain, i int, p Program, x, top float64) {
	d.printf(`<g class="program"><title>%s</title>`, escaped(p.exactly(c.Counted)))
	bottom := top + boxHeight
	ends := c.downward(i, p)
	at := x + 14
	for n, v := range ends {
		w := c.streamWidth(v.Decided)
		at += w / 2
		y := bottom + float64(len(ends)-n)*endRow - 4
		d.printf(`<g class="end">`)
		d.stream(c, v.Name, v.Decided, at, bottom, at, y, p.Name+" decides "+v.Name)
		d.text(at+w/2+5, y, "", v.Name+" "+v.Decided.Short())
		d.printf(`</g>`)
		at += w/2 + 10
	}
	d.printf(`<rect class="box" x="%.1f" y="%.1f" width="%d" height="%d" rx="7"/>`, x, top, boxWidth, boxHeight)
	d.text(x+11, top+20, "name", fit(p.Name, nameRunes))
	d.text(x+11, top+38, "soft", fit(p.Note, 26))
	switch {
	case p.Unseen != "":
		d.text(x+11, top+55, "soft", "not observed")
	case c.Counted:
		d.text(x+11, top+55, "", p.Total.Short())
	case p.Passes != "":
		d.text(x+11, top+55, "soft", fit("on: "+short(p.Passes), 26))
	}
	d.printf(`</g>`)
}

// exit draws what leaves the chain behind its last program: what that one passes, and what it
// hands on, which the dispatcher passes.
func (d *drawing) exit(c Chain, p Program, x, middle float64) {
	if !c.Counted {
		d.stream(c, "", Rate{}, x, middle, x+gap/2, middle, "what the chain lets pass")
		return
	}
	var passed Rate
	for _, v := range p.Verdicts {
		if v.Name == "XDP_PASS" {
			passed = v.Decided
		}
	}
	on := p.handedOn()
	y := middle - widest/4
	for _, end := range []struct {
		rate Rate
		what string
	}{{passed, p.Name + " decides XDP_PASS"}, {on, p.Name + " hands on, and the dispatcher says XDP_PASS"}} {
		if end.rate.Packets == 0 {
			continue
		}
		d.printf(`<g class="end">`)
		d.stream(c, "XDP_PASS", end.rate, x, y, x+18, y, end.what)
		d.text(x+23, y+4, "", "XDP_PASS "+end.rate.Short())
		d.printf(`</g>`)
		y += widest/2 + 5
	}
}

// streamWidth is how wide a stream of so many packets is.
func (c Chain) streamWidth(r Rate) float64 {
	if r.PerSecond <= 0 || c.Total.PerSecond <= 0 {
		return 1
	}
	return max(thinnest, widest*math.Min(1, r.PerSecond/c.Total.PerSecond))
}

func (d *drawing) stream(c Chain, verdict string, r Rate, x1, y1, x2, y2 float64, what string) {
	class := "stream"
	if verdict != "" {
		class += " " + verdict
	}
	if c.Counted {
		what += ": " + exactly(r)
		if r.PerSecond <= 0 {
			class += " none"
		}
	}
	d.printf(`<path class="%s" stroke-width="%.1f" d="M%.1f %.1fL%.1f %.1f"><title>%s</title></path>`,
		class, c.streamWidth(r), x1, y1, x2, y2, escaped(what))
}

func (d *drawing) amount(c Chain, r Rate, x, y float64) {
	if c.Counted {
		d.text(x, y, "soft", r.Short())
	}
}
