package dispatcher

import (
	"fmt"

	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Writable says whether a [Transaction] can change the chain. Errors: [xdp.ErrVersion].
func (c *Chain) Writable() error {
	switch {
	case c.Dispatcher == nil:
		return nil
	case c.DeviceBound:
		return deviceBound()
	case !protocol.Writes(c.Version):
		return &xdp.Error{Kind: xdp.ErrVersion,
			Msg:    fmt.Sprintf("the chain on %s has a dispatcher of version %d, and xdpmux writes versions 2 and 3", c.Interface.Name, c.Version),
			Remedy: "upgrade the chain, which keeps its programs: xdpmux upgrade " + c.Interface.Name}
	}
	return nil
}

// deviceBound refuses a chain whose programs could move only into a dispatcher that is
// bound to the same device.
func deviceBound() error {
	return &xdp.Error{Kind: xdp.ErrVersion, Msg: "the chain is bound to its device, and xdpmux can't change such a chain",
		Remedy: "change it with the tools that made it, or unload the whole chain first: unload -a"}
}
