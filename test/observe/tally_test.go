package observe

import (
	"context"
	"sync"
)

// tally is a count that others wait for.
type tally struct {
	mu   sync.Mutex
	n    uint64
	more chan struct{} // closed with the next one; nil if nobody waits
}

func (c *tally) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	if c.more != nil {
		close(c.more)
		c.more = nil
	}
}

func (c *tally) count() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// rise waits until the count has risen by n, or ctx ends.
func (c *tally) rise(ctx context.Context, n uint64) {
	for want := c.count() + n; ctx.Err() == nil; {
		c.mu.Lock()
		if c.n >= want {
			c.mu.Unlock()
			return
		}
		if c.more == nil {
			c.more = make(chan struct{})
		}
		more := c.more
		c.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
		}
	}
}
