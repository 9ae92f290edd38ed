package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// traceJSON is the shape of a line of trace --json. A test holds print to it.
type traceJSON struct {
	packetJSON
	wayJSON
}

// packetJSON is that of a packet without its way, with --at arrival.
type packetJSON struct {
	Packet    int       `json:"packet"` // from 1; of a capture: its number there
	Time      time.Time `json:"time"`
	Length    int       `json:"length"`
	Whole     int       `json:"original_length,omitempty"` // where the capture has only the beginning
	Interface string    `json:"interface,omitempty"`       // where several are traced
	Summary   string    `json:"summary"`
}

type wayJSON struct {
	Steps     []stepJSON `json:"steps"`
	Verdict   string     `json:"verdict"`
	DecidedBy *stepJSON  `json:"decided_by"` // null: the dispatcher, after the last program handed on
}

type stepJSON struct {
	xdp.Loaded
	Verdict string `json:"verdict"`
}

func newWayJSON(t *observe.Trace) wayJSON {
	way := wayJSON{Steps: []stepJSON{}, Verdict: t.Verdict.String()}
	for _, s := range t.Steps {
		way.Steps = append(way.Steps, stepJSON{s.Loaded, s.Verdict.String()})
	}
	if t.DecidedBy != nil {
		way.DecidedBy = &way.Steps[len(way.Steps)-1]
	}
	return way
}

// wayWords are the way of a packet as people read it.
func wayWords(t *observe.Trace) []byte {
	var words []byte
	for i, s := range t.Steps {
		if i > 0 {
			words = append(words, ", "...)
		}
		words = append(append(words, output.Shown(s.Name)...), ' ')
		words = append(words, s.Verdict.String()...)
	}
	if len(t.Steps) == 0 {
		return fmt.Appendf(words, "no program => %v", t.Verdict)
	}
	return fmt.Appendf(words, " => %v by %s", t.Verdict, decider(t))
}

// decider is what to call who has decided.
func decider(t *observe.Trace) string {
	switch {
	case len(t.Steps) == 0:
		return "no program"
	case t.DecidedBy == nil:
		return "the dispatcher"
	}
	return output.Shown(t.DecidedBy.Name)
}

// tracePrinter prints packets, and keeps the totals.
type tracePrinter struct {
	w        io.Writer
	json     bool
	quiet    bool   // prints totals alone
	arrival  bool   // packets have no way yet
	ifname   string // where several are traced: that of the packet
	programs []*traceTotal
	chain    traceTotal
	ways     map[string]*way
	last     *way // of the packet before, with:
	lastKey  []byte
	key      []byte // reused, as are:
	line     []byte

	dissector *dissector
}

// way is what packets with the same verdicts have in common: the end of their line, and
// the totals that they count in. There are few ways.
type way struct {
	line     []byte
	verdicts []*uint64
}

// maxWays keeps programs that return any number from filling the memory.
const maxWays = 1000

type traceTotal struct {
	xdp.Loaded
	verdicts observe.Verdicts
	decided  uint64
}

func newTracePrinter(w io.Writer, json bool, programs []xdp.Loaded) *tracePrinter {
	p := &tracePrinter{w: w, json: json, chain: traceTotal{Loaded: xdp.Loaded{Name: "chain"}},
		ways: map[string]*way{}, dissector: newDissector()}
	for _, loaded := range programs {
		p.programs = append(p.programs, &traceTotal{Loaded: loaded})
	}
	return p
}

func (p *tracePrinter) total(l xdp.Loaded) *traceTotal {
	for _, t := range p.programs {
		if t.ID == l.ID {
			return t
		}
	}
	p.programs = append(p.programs, &traceTotal{Loaded: l})
	return p.programs[len(p.programs)-1]
}

// packet takes in packet n, which begins with data. Numbers are those of print.
func (p *tracePrinter) packet(n int, t *observe.Trace, data []byte, length, whole int) error {
	if p.quiet {
		_, err := p.count(t)
		return err
	}
	return p.print(n, t, p.dissector.summary(data), length, whole)
}

// count adds the packet to the totals.
func (p *tracePrinter) count(t *observe.Trace) (*way, error) {
	way, err := p.wayOf(t)
	if err != nil {
		return nil, err
	}
	for _, count := range way.verdicts {
		*count++
	}
	return way, nil
}

// print prints packet n, and adds it to the totals. whole is its length on the wire, and length that of what there is
// of it.
func (p *tracePrinter) print(n int, t *observe.Trace, summary []byte, length, whole int) error {
	way, err := p.count(t)
	if err != nil {
		return err
	}
	if p.json {
		p.line = appendJSON(p.line[:0], n, t.Time, p.ifname, summary, length, whole)
	} else {
		p.line = appendText(p.line[:0], n, p.ifname, summary, length, whole)
	}
	p.line = append(p.line, way.line...)
	_, err = p.w.Write(p.line)
	return err
}

// appendJSON appends the line of a packet, but for its way. It doesn't use encoding/json, which would take as long for the
// line as the packet for its way. The words of a summary are plain ASCII.
func appendJSON(line []byte, n int, at time.Time, ifname string, summary []byte, length, whole int) []byte {
	line = strconv.AppendInt(append(line, `{"packet":`...), int64(n), 10)
	line = at.AppendFormat(append(line, `,"time":"`...), time.RFC3339Nano)
	line = strconv.AppendInt(append(line, `","length":`...), int64(length), 10)
	if whole != length {
		line = strconv.AppendInt(append(line, `,"original_length":`...), int64(whole), 10)
	}
	if ifname != "" {
		name, _ := json.Marshal(ifname) // a string is no error
		line = append(append(line, `,"interface":`...), name...)
	}
	line = append(append(line, `,"summary":"`...), summary...)
	return append(line, '"')
}

func appendText(line []byte, n int, ifname string, summary []byte, length, whole int) []byte {
	line = append(strconv.AppendInt(line, int64(n), 10), "  "...)
	if ifname != "" {
		line = append(append(line, output.Shown(ifname)...), "  "...)
	}
	line = append(append(line, summary...), ", "...)
	line = strconv.AppendInt(line, int64(length), 10)
	if whole != length {
		line = strconv.AppendInt(append(line, " of "...), int64(whole), 10)
	}
	return append(line, " bytes"...)
}

func (p *tracePrinter) wayOf(t *observe.Trace) (*way, error) {
	p.key = binary.NativeEndian.AppendUint32(p.key[:0], uint32(t.Verdict))
	for _, step := range t.Steps {
		p.key = binary.NativeEndian.AppendUint32(p.key, step.ID)
		p.key = binary.NativeEndian.AppendUint32(p.key, uint32(step.Verdict))
	}
	if p.last != nil && bytes.Equal(p.key, p.lastKey) {
		return p.last, nil
	}
	w, err := p.wayOfKey(t)
	p.last, p.lastKey = w, append(p.lastKey[:0], p.key...)
	return w, err
}

// wayOfKey is the way with that key.
func (p *tracePrinter) wayOfKey(t *observe.Trace) (*way, error) {
	if w := p.ways[string(p.key)]; w != nil {
		return w, nil
	}
	w, err := p.newWay(t)
	if err != nil {
		return nil, err
	}
	if len(p.ways) >= maxWays {
		clear(p.ways)
	}
	p.ways[string(p.key)] = w
	return w, nil
}

func (p *tracePrinter) newWay(t *observe.Trace) (*way, error) {
	w := &way{verdicts: []*uint64{&p.chain.verdicts[min(int(t.Verdict), observe.Other)]}}
	if p.arrival {
		w.line = []byte(map[bool]string{true: "}\n", false: "\n"}[p.json])
		return w, nil
	}
	decided := &p.chain.decided
	for _, s := range t.Steps {
		w.verdicts = append(w.verdicts, &p.total(s.Loaded).verdicts[min(int(s.Verdict), observe.Other)])
	}
	if t.DecidedBy != nil {
		decided = &p.total(*t.DecidedBy).decided
	}
	w.verdicts = append(w.verdicts, decided)
	if !p.json {
		w.line = append(append([]byte(": "), wayWords(t)...), '\n')
		return w, nil
	}
	var object bytes.Buffer
	if err := output.NewJSON(&object).Encode(newWayJSON(t)); err != nil {
		return nil, err
	}
	w.line = object.Bytes()
	w.line[0] = ',' // what comes before has opened the object
	return w, nil
}

// arrivedJSON is the shape of the last line of trace --at arrival --json.
type arrivedJSON struct {
	Totals struct {
		Packets uint64 `json:"packets"`
	} `json:"totals"`
}

// totalsJSON is the shape of the last line of trace --json.
type totalsJSON struct {
	Totals struct {
		Programs []programTotalJSON `json:"programs"`
		Chain    totalJSON          `json:"chain"`
	} `json:"totals"`
}

type programTotalJSON struct {
	xdp.Loaded
	totalJSON
}

type totalJSON struct {
	Packets  uint64            `json:"packets"`
	Verdicts map[string]uint64 `json:"verdicts"`
	Decided  uint64            `json:"decided"` // of the chain: by the dispatcher
}

func (t *traceTotal) json() totalJSON {
	total := totalJSON{t.verdicts.Sum(), map[string]uint64{}, t.decided}
	for v, name := range observe.VerdictNames() {
		total.Verdicts[name] = t.verdicts[v]
	}
	return total
}

// totals prints what each program and the chain said: a table, or one line.
func (p *tracePrinter) totals() error {
	packets := p.chain.verdicts.Sum()
	if p.arrival && p.json {
		var line arrivedJSON
		line.Totals.Packets = packets
		return output.NewJSON(p.w).Encode(line)
	}
	if p.arrival {
		_, err := fmt.Fprintf(p.w, "\n%d packets\n", packets)
		return err
	}
	if p.json {
		var line totalsJSON
		line.Totals.Programs, line.Totals.Chain = []programTotalJSON{}, p.chain.json()
		for _, t := range p.programs {
			line.Totals.Programs = append(line.Totals.Programs, programTotalJSON{t.Loaded, t.json()})
		}
		return output.NewJSON(p.w).Encode(line)
	}
	fmt.Fprintln(p.w)
	t := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "ID\tProgram\tPackets\t%s\tDecided\n", strings.Join(observe.VerdictNames(), "\t"))
	for _, total := range append(p.programs, &p.chain) {
		id := ""
		if total.ID != 0 {
			id = fmt.Sprint(total.ID)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t", id, output.Shown(total.Name), total.verdicts.Sum())
		for _, n := range total.verdicts {
			fmt.Fprintf(t, "%d\t", n)
		}
		fmt.Fprintln(t, total.decided)
	}
	return t.Flush()
}
