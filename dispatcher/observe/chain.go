package observe

import (
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// main is the program that the interface itself has: the dispatcher, a legacy or a hardware
// program. It is nil if there is none.
func main(c *dispatcher.Chain) *xdp.Loaded {
	switch {
	case c.Dispatcher != nil:
		return c.Dispatcher
	case c.Legacy != nil:
		return c.Legacy
	}
	return c.Hardware
}

// programs are the component programs of a chain in their order, or the legacy program alone.
func programs(c *dispatcher.Chain) []xdp.Loaded {
	if c.Legacy != nil {
		return []xdp.Loaded{*c.Legacy}
	}
	var all []xdp.Loaded
	for _, p := range c.Programs {
		all = append(all, p.Loaded)
	}
	return all
}

// notEmpty returns an error if nothing is on the interface.
func notEmpty(c *dispatcher.Chain) error {
	if main(c) != nil {
		return nil
	}
	return (&xdp.Error{Kind: xdp.ErrNoProgram, Msg: "no XDP program is loaded on " + c.Interface.Name}).
		Advise("load one: %v", xdp.Hint{To: xdp.HintAttach, Interface: c.Interface.Name})
}
