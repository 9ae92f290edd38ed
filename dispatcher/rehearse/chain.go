package rehearse

import (
	"context"
	"errors"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Chain is a chain of programs that run nowhere. It is for one goroutine at a time.
type Chain struct {
	Order  []int      // for each program of the chain its index in the call of [OpenChain]
	Limits [][]string // for each of them what the test runs can't show, as in [Limit]

	thread *oneCPU
	side   *side
}

// OpenChain loads programs into a chain that is attached nowhere, in the order in which they
// would run on an interface. Their maps are new ones, and hold what the programs' Contents say:
// a PinPath only says which of the programs share a map. Until Close the calling goroutine is
// locked to its thread, which stays on one CPU, and it alone may use the Chain.
//
// Errors: those of [dispatcher.Assemble].
func OpenChain(ctx context.Context, programs []xdp.Program) (_ *Chain, err error) {
	c := &Chain{}
	if c.thread, err = onOneCPU(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	var sources []source
	for _, p := range programs {
		sources = append(sources, source{Program: p, shown: xdp.Loaded{Name: p.Name}, fresh: true})
	}
	if c.side, err = newSide(ctx, &dispatcher.Chain{}, sources, nil); err != nil {
		return nil, err
	}
	c.Order, c.Limits = c.side.assembled.Order, c.side.limits
	return c, nil
}

// MaxLen is the longest packet that the chain takes, in bytes.
func (c *Chain) MaxLen() int { return c.side.maxLen() }

// Run sends a packet through the chain. What it returns is good until the next call. Errors are
// those of [observe.Replay.Run].
func (c *Chain) Run(packet []byte) (*observe.Trace, error) { return c.side.run(packet) }

// Close lets go of the chain. It is idempotent.
func (c *Chain) Close() error {
	err := errors.Join(c.side.close(), c.thread.close())
	c.side, c.thread = nil, nil
	return err
}
