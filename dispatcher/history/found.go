package history

import (
	"context"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// missed is the record that is still to be written before a change of the chain now: that the
// process of the last record was killed in the middle of its change, or that another tool has
// changed the chain since; nil: there is none. The caller has the lock.
func missed(ctx context.Context, last *Record, where place, now *dispatcher.Chain) *Record {
	var known *Chain
	if last != nil {
		known = last.After
	}
	source := func(p xdp.Loaded) Source { return known.loaded()[p] }
	there := chainOf(now, source)
	switch {
	case last != nil && last.Outcome == UnderWay && last.Process.runs():
		return nil // it may have made its change by now, or not
	case last != nil && last.Outcome == UnderWay:
		ended := *last
		ended.Outcome, ended.After = Interrupted, there
		return &ended
	case same(there, known), known == nil && there.empty():
		return nil
	}
	// The chain was read before the lock was taken. If it is another by now, the swap is
	// going to lose the race, and start over.
	if again, err := dispatcher.Status(ctx, now.Interface.Name); err != nil || !same(there, chainOf(again, source)) {
		return nil
	}
	return &Record{Time: time.Now(), Outcome: Found, Interface: now.Interface,
		Boot: where.boot, Netns: where.netns, NetnsCookie: where.cookie, Before: known, After: there}
}
