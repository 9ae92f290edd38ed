package history

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// findLinked finds out what those programs were loaded from that run already, for another chain, and
// come into this one. The last record of the interface doesn't know them, but one before does, or one of
// another interface.
func (r *Recorder) findLinked(boot string, before, after *dispatcher.Chain) error {
	for _, p := range after.Programs {
		if _, known := r.sources[p.ID]; known || slices.ContainsFunc(before.Programs, func(q dispatcher.Component) bool { return q.Loaded == p.Loaded }) {
			continue
		}
		source, err := r.dir.sourceOf(boot, p.Loaded)
		if err != nil {
			return err
		}
		r.sources[p.ID] = source
	}
	return nil
}

// sourceOf is what the newest record that knows it says of a program; empty: none does.
func (d directory) sourceOf(boot string, p xdp.Loaded) (source Source, err error) {
	id := fmt.Appendf(nil, `"id":%d,`, p.ID)
	err = d.backwards(0, func(l line, _ spot) bool {
		if !bytes.Contains(l, id) {
			return true
		}
		if r := l.record(); r != nil && r.Boot == boot {
			for _, c := range []*Chain{r.After, r.Before} {
				if s := c.loaded()[p]; s != (Source{}) {
					source = s
					return false
				}
			}
		}
		return true
	})
	return source, err
}
