package dispatcher

import (
	"context"
	"fmt"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// adopted is a lone program, one without a dispatcher, that is taken into a chain. The kernel
// can't make it a component program: that has another type. So another program comes for it,
// from the same object and with the same maps.
type adopted struct {
	lone  xdp.Loaded
	comes *object.Program
}

// openAdopted opens the object of the lone program that is on the interface; nil: none is to be
// adopted. The object stays open when a lost race is started over, if the program is still the
// same.
func (c *commit) openAdopted(ctx context.Context, l device.Device, old *openChain) (*object.Program, error) {
	if c.Adopt == nil {
		return nil, nil
	}
	before, again := c.adopted[l.Index]
	switch {
	case old.lone == nil:
		return nil, (&xdp.Error{Kind: xdp.ErrNoProgram, Msg: fmt.Sprintf("%s has no program without a dispatcher that could be adopted", l.Name)}).
			Advise("to see what it has: %v", xdp.Hint{To: xdp.HintStatus})
	case again && before.lone.ID == old.lone.ID:
		return before.comes, nil
	case again:
		before.comes.Pins.Undo()
		before.comes.Close()
		delete(c.adopted, l.Index)
	}
	p, err := c.Adopt(old.lone.Loaded)
	if err != nil {
		return nil, err
	}
	comes, err := object.OpenSource(ctx, p, old.lone.Loaded)
	if err != nil {
		return nil, err
	}
	if c.adopted == nil {
		c.adopted = map[int]adopted{}
	}
	c.adopted[l.Index] = adopted{old.lone.Loaded, comes}
	return comes, nil
}

// goOnForAdopted makes the program that comes for the lone one use its maps.
func (c *commit) goOnForAdopted(s *swap) error {
	a, ok := c.adopted[s.iface.Index]
	if !ok {
		return nil
	}
	return a.comes.GoOnFor(s.old.main.Int(), s.iface.Index)
}

// adoption is what became of the lone program; nil: there was none to adopt.
func (c *commit) adoption(s *swap) *Replaced {
	a, ok := c.adopted[s.iface.Index]
	if !ok {
		return nil
	}
	return &Replaced{Old: a.lone.ID, New: s.component(a.comes), KeptMaps: a.comes.KeptMaps, NewMaps: a.comes.NewMaps}
}
