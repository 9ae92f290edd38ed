package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// openChain is the chain that is on an interface. All of it is held open, so that nothing of
// it can go while it is being replaced, whoever removes its pins.
type openChain struct {
	*protocol.Dispatcher            // nil: no chain
	main                 *libbpf.FD // the dispatcher, or the lone program
	lone                 *slot      // the program that runs without a dispatcher; nil: none does
}

// openChainOn opens the chain of an interface. The interface's main program must be
// a dispatcher or none.
func openChainOn(ctx context.Context, l device.Device) (*openChain, error) {
	return openOn(ctx, l, false)
}

// openOn does the same. With takesLone the main program may be one without a dispatcher, too.
func openOn(ctx context.Context, l device.Device, takesLone bool) (_ *openChain, err error) {
	r := &openChain{}
	if l.ProgID == 0 || l.Mode == xdp.ModeHW {
		return r, nil
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.main, err = protocol.OpenMain(l.Index, l.ProgID); err != nil {
		return nil, explainReading(l, err)
	}
	root, err := protocol.LockPins(ctx)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // without pins there is nothing to lock
		return nil, err
	}
	defer root.Close()
	if r.Dispatcher, err = protocol.Open(root, l.Index, l.ProgID, r.main); err != nil {
		err = explainReading(l, err)
		if takesLone && errors.Is(err, xdp.ErrLegacy) {
			err = r.isLone()
		}
		return r, err
	}
	for i := range r.Slots {
		if err := r.Hold(i); err != nil {
			return nil, explainReading(l, err)
		}
		if r.Slots[i].Prog != nil {
			continue
		}
		// The program is gone. Either the dispatcher is gone too by now, or somebody has
		// removed the program's pins: then the chain runs without it.
		now, err := l.Again()
		if err != nil {
			return nil, err
		}
		if now.ProgID != l.ProgID {
			return nil, errLostRace
		}
	}
	return r, nil
}

// explainReading takes it for a lost race if a dispatcher went while it was read.
func explainReading(l device.Device, err error) error {
	switch {
	case errors.Is(err, syscall.ENOENT):
		return errLostRace
	case errors.Is(err, protocol.ErrNotDispatcher):
		if legacy := checkLegacy(l); legacy != nil {
			return legacy
		}
	}
	return explainStatus(l, err)
}

// isLone makes the program that is held open as the main one a lone one.
func (r *openChain) isLone() error {
	p, err := loaded.ByFD(r.main.Int())
	if err != nil {
		return err
	}
	r.lone = &slot{lone: true, Slot: protocol.Slot{Program: p, Prog: r.main}}
	return nil
}

func (r *openChain) close() {
	r.main.Close()
	r.Dispatcher.Close()
}

// slots are the programs of the chain that are still there.
func (r *openChain) slots() []slot {
	var all []slot
	if r.lone != nil {
		all = append(all, *r.lone)
	}
	if r.Dispatcher != nil {
		for _, s := range r.Slots {
			if s.Prog != nil {
				all = append(all, slot{Slot: s})
			}
		}
	}
	return all
}

// stillHeld says who still holds a chain that was on an interface; nil: nobody does. It isn't
// asked of a chain that had its pins where libxdp has them: all is known of that.
func (r *openChain) stillHeld(ifname string) error {
	for _, s := range r.Slots {
		if s.LinkID == 0 {
			continue
		}
		fd, err := loaded.OpenLink(s.LinkID)
		if err != nil {
			continue
		}
		fd.Close()
		by := "its pins lie where this mount namespace doesn't see them"
		if holders := loaded.Holders(s.LinkID); len(holders) > 0 {
			by = "it is held by " + strings.Join(holders, " and ")
		}
		return (&xdp.Error{Kind: xdp.ErrSystem, Msg: fmt.Sprintf("the chain that was on %s stays loaded: %s", ifname, by)}).
			Advise("it takes no packets; where its pins are seen, %v removes them, such as after: nsenter --mount=/proc/1/ns/mnt", xdp.Hint{To: xdp.HintClean})
	}
	return nil
}

// keepIn pins all of the chain in a directory. The links are what keeps the programs in the
// dispatcher.
func (r *openChain) keepIn(dir string) error {
	if err := libbpf.ObjPin(r.main.Int(), protocol.MainPin(dir)); err != nil {
		return err
	}
	if r.Dispatcher == nil {
		return nil
	}
	if err := libbpf.ObjPin(r.Map.Int(), protocol.ConfigPin(dir)); err != nil {
		return err
	}
	for i, s := range r.Slots {
		if s.Link == nil {
			continue
		}
		if err := libbpf.ObjPin(s.Link.Int(), protocol.LinkPin(dir, i)); err != nil {
			return err
		}
		if err := libbpf.ObjPin(s.Prog.Int(), protocol.ProgPin(dir, i)); err != nil {
			return err
		}
		if err := protocol.KeepName(protocol.NamePin(dir, i), s.Name); err != nil {
			return err
		}
	}
	return nil
}
