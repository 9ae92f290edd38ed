package dispatcher

import (
	"context"
	"fmt"

	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Changing is a change of one interface that is about to be made. It is good for the call of
// the function that is given it.
type Changing struct {
	Before, After *Chain // what the interface has, and what it will have

	// Hardware says that it is the offloaded program that changes. It can't be kept.
	Hardware bool

	// MapPins are the pins of maps that the programs which come have made, and MapDirs the
	// directories that were made for them.
	MapPins, MapDirs []string

	keepIn func(dir string) error // pins what is there in a directory
}

// Keep pins what the interface has, so that [PutBack] can put it back after the change,
// whatever has become of its other pins and of this process. [Forget] removes these pins.
// Errors: [xdp.ErrNoDispatcher] where no bpffs is mounted, [xdp.ErrBusy],
// [xdp.ErrPermission], [xdp.ErrSystem], and [xdp.ErrInvalid] for an offloaded program.
func (c *Changing) Keep(ctx context.Context) error {
	if c.Hardware {
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("a change of the offloaded program of %s can't be taken back later", c.Before.Interface.Name),
			Remedy: "make it for good"}
	}
	id := c.Before.MainID()
	if id == 0 {
		return nil
	}
	if err := protocol.PrepareBPFFS(); err != nil {
		return err
	}
	root, err := protocol.LockPins(ctx)
	if err != nil {
		return err
	}
	defer root.Close()
	index := c.Before.Interface.Index
	err = root.Create(protocol.KeptName(index, id))
	if err == nil {
		err = c.keepIn(protocol.KeptDir(index, id))
	}
	if err != nil {
		_ = root.Remove(protocol.KeptName(index, id))
		return protocol.ExplainPins(fmt.Errorf("keep the chain that is there below %s: %w", protocol.KeptDir(index, id), err))
	}
	return nil
}

// addPins adds the pins that the load of a program has made; nil: no program was loaded.
func (c *Changing) addPins(o *object.Program) {
	if o == nil {
		return
	}
	pins, dir := o.Pins.Made()
	if c.MapPins = append(c.MapPins, pins...); dir != "" {
		c.MapDirs = append(c.MapDirs, dir)
	}
}
