package history

import (
	"context"
	"strings"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// change is one that a Recorder follows.
type change struct {
	Record
	planned         *Chain
	sources         map[uint32]Source // of the programs that come, by their ids; those of the Recorder
	leaves          []*leaving
	made, takenBack bool
}

func (r *Recorder) newChange(iface xdp.Interface) *change {
	where, _ := r.locate() // without it, nothing is written
	by := r.maker()
	return &change{sources: r.sources, Record: Record{Time: time.Now(), Outcome: UnderWay, Interface: iface,
		Boot: where.boot, Netns: where.netns, NetnsCookie: where.cookie,
		User: by.user, Process: by.process, Command: shortCommand(r.opts.Command)}}
}

// maxText is how much of a command line or of an error is written down, in bytes. A load on a
// thousand interfaces has a record for each, and names all.
const maxText = 2 << 10

func shortCommand(words []string) []string {
	left := maxText
	for i, word := range words {
		if left -= len(word) + 1; left < 0 {
			return append(words[:i:i], "...")
		}
	}
	return words
}

func shortText(text string) string {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "..."
	}
	return text
}

// plan takes down what is there and what is to be there. last is the record before; nil: there
// is none.
func (c *change) plan(last *Record, before, after *dispatcher.Chain) {
	var known map[xdp.Loaded]Source
	switch {
	case c.made:
		known = c.After.loaded()
	case last != nil:
		known = last.After.loaded()
	}
	source := func(p xdp.Loaded) Source {
		if s, comes := c.sources[p.ID]; comes {
			return s
		}
		return known[p]
	}
	if !c.made {
		c.Before = chainOf(before, source)
	}
	c.planned = chainOf(after, source)
	c.After = c.planned
}

// source is what a program of the change was loaded from.
func (c *change) source(p xdp.Loaded) Source {
	planned := c.planned.loaded()
	for _, s := range []Source{planned[p], c.Before.loaded()[p]} {
		if s != (Source{}) {
			return s
		}
	}
	return planned[xdp.Loaded{Name: p.Name}] // an offloaded program gets its id and tag with the change
}

// settle finds out how the change has ended, of which err tells; nil: all is well. After an
// error it looks at what is there now.
func (c *change) settle(err error) {
	c.Outcome = Done
	if err == nil && c.made {
		return
	}
	c.Outcome = Failed
	if c.takenBack {
		c.Outcome = TakenBack
	}
	if err != nil {
		c.Error = shortText(err.Error())
	}
	now, lookErr := dispatcher.Status(context.Background(), c.Interface.Name)
	if lookErr != nil || now.Interface.Index != c.Interface.Index {
		return
	}
	there := chainOf(now, c.source)
	switch {
	case same(there, c.Before):
		c.After = c.Before
	case same(there, c.planned):
		c.Outcome = Done
	default:
		c.After = there
	}
}
