package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/cmd/internal/terminal"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/dispatcher/value"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// dump prints the entries of a map as they are read.
type dump struct {
	w      *bufio.Writer
	m      *maps.Map
	json   bool
	key    *string                // of the only entry to print; nil: print all
	limit  uint                   // print no more entries than these; 0: print all
	before map[string]value.Value // values of the last round by key; nil: not watching
	at     time.Time              // of the last round
}

func newDump(w io.Writer, m *maps.Map, asJSON, watch bool) *dump {
	d := &dump{w: bufio.NewWriter(w), m: m, json: asJSON}
	if watch {
		d.before = map[string]value.Value{}
	}
	return d
}

// watch prints the map again and again until ctx ends, or q is typed.
func (d *dump) watch(ctx context.Context, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	keys, end := terminal.ReadKeys()
	defer end()
	for {
		if err := d.print(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if !waitTick(ctx, tick, keys) {
			return nil
		}
		if !d.json {
			fmt.Fprintln(d.w)
		}
	}
}

// print prints one round.
func (d *dump) print(ctx context.Context) error {
	now := time.Now()
	seconds := now.Sub(d.at).Seconds()
	d.at = now
	if d.json {
		info, err := json.Marshal(d.m.Info)
		if err != nil {
			return err
		}
		fmt.Fprintf(output.JSONWriter(d.w), `{"map":%s,"entries":[`, info)
	}
	printed := uint(0)
	for e, err := range d.entries(ctx) {
		if err != nil {
			return err
		}
		if err := d.entry(e, d.change(e, seconds), printed == 0); err != nil {
			return err
		}
		if printed++; printed == d.limit {
			break
		}
	}
	if d.json {
		fmt.Fprintln(d.w, "]}")
	}
	return d.w.Flush()
}

// entries are those to print.
func (d *dump) entries(ctx context.Context) iter.Seq2[maps.Entry, error] {
	if d.key == nil {
		return d.m.Entries(ctx)
	}
	return func(yield func(maps.Entry, error) bool) {
		e, err := d.m.LookupText(*d.key)
		if d.before != nil && errors.Is(err, xdp.ErrNoEntry) {
			return // the entry may come later
		}
		yield(e, err)
	}
}

// change is what an entry's numbers change by in a second. It is nil if the entry has no
// numbers, or was not there before.
func (d *dump) change(e maps.Entry, seconds float64) value.Value {
	if d.before == nil {
		return nil
	}
	now, key := value.Sum(e.Values), e.Key.String()
	before, known := d.before[key]
	if now != nil {
		d.before[key] = now
	}
	if !known || now == nil {
		return nil
	}
	return value.PerSecond(before, now, seconds)
}

// entryJSON is the shape of an entry in map dump --json: value, or values and sum of
// a per-CPU map. What it holds are value.Values, or what JSON makes of them.
type entryJSON struct {
	Key       any       `json:"key"`
	Value     any       `json:"value,omitempty"`
	Values    []cpuJSON `json:"values,omitempty"`
	Sum       any       `json:"sum,omitempty"`        // of the numbers of all CPUs
	PerSecond any       `json:"per_second,omitempty"` // from the second round of --watch on
}

type cpuJSON struct {
	CPU   int `json:"cpu"`
	Value any `json:"value"`
}

func (d *dump) entry(e maps.Entry, change value.Value, first bool) error {
	if !d.json {
		return d.text(e, change)
	}
	shape := entryJSON{Key: e.Key, PerSecond: change}
	if d.m.PerCPU {
		for cpu, v := range e.Values {
			shape.Values = append(shape.Values, cpuJSON{cpu, v})
		}
		shape.Sum = value.Sum(e.Values)
	} else {
		shape.Value = e.Values[0]
	}
	b, err := json.Marshal(shape)
	if err != nil {
		return err
	}
	if !first {
		d.w.WriteByte(',')
	}
	if d.before == nil {
		d.w.WriteByte('\n') // an entry a line
	}
	_, err = output.JSONWriter(d.w).Write(b)
	return err
}

func (d *dump) text(e maps.Entry, change value.Value) error {
	suffix := ""
	if change != nil {
		suffix = "  " + change.String()
	}
	if !d.m.PerCPU {
		_, err := fmt.Fprintf(d.w, "%s: %s%s\n", output.Shown(e.Key.String()), output.Shown(e.Values[0].String()), output.Shown(suffix))
		return err
	}
	fmt.Fprintf(d.w, "%s:\n", output.Shown(e.Key.String()))
	for cpu, v := range e.Values {
		fmt.Fprintf(d.w, "  cpu %d: %s\n", cpu, output.Shown(v.String()))
	}
	var err error
	if sum := value.Sum(e.Values); sum != nil {
		_, err = fmt.Fprintf(d.w, "  sum: %s%s\n", output.Shown(sum.String()), output.Shown(suffix))
	}
	return err
}
