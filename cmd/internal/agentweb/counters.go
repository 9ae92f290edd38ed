package agentweb

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/observe"
)

// Counters count packets as long as somebody wants to know, as it takes time of each packet.
type Counters struct {
	Context context.Context // in which they are opened
	Log     *slog.Logger

	mu       sync.Mutex
	observer *observe.Observer // nil: nobody wants to know
	idle     *time.Timer       // closes it
	failed   string            // why there is none, as the log has it
}

// countFor is how long packets are counted after somebody has looked. Scrapes come more often.
const countFor = 5 * time.Minute

// Read begins to count if need be, and tells what was counted since. Where nothing can be counted,
// it tells of no chain.
func (c *Counters) Read() *observe.Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.observer == nil {
		o, err := observe.Open(c.Context, nil, observe.Options{})
		if err != nil {
			if text := err.Error(); text != c.failed {
				c.failed = text
				c.Log.Warn("packets can't be counted", "error", err)
			}
			return &observe.Snapshot{Time: time.Now()}
		}
		c.observer, c.failed = o, ""
		c.idle = time.AfterFunc(countFor, c.Close)
	}
	c.idle.Reset(countFor)
	return c.observer.Read()
}

// Close ends the counting until the next Read.
func (c *Counters) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.observer != nil {
		c.idle.Stop()
		_ = c.observer.Close()
		c.observer = nil
	}
}
