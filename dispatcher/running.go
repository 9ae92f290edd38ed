package dispatcher

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// running is the chain that is on an interface, held open so that nothing of it can
// go while it is being replaced, whoever removes its pins.
type running struct {
	state *state     // nil: no chain
	main  *libbpf.FD // the dispatcher
	held  []held     // one for each slot
}

// held is a program in its slot.
type held struct {
	prog *libbpf.FD // nil: it is gone
	link *libbpf.FD // what holds it there; nil: nothing does

	progPinned, linkPinned bool // where the protocol has the pins
}

func (h held) close() {
	h.link.Close()
	h.prog.Close()
}

// readRunning opens the chain of an interface. The interface's main program must be
// a dispatcher or none.
func readRunning(ctx context.Context, l link) (_ *running, err error) {
	r := &running{}
	if l.progID == 0 || l.mode == ModeHW {
		return r, nil
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.main, err = libbpf.ProgByID(l.progID); err != nil {
		return nil, explainReading(l, err)
	}
	root, err := lockPins(ctx)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // without pins there is nothing to lock
		return nil, err
	}
	defer root.close()
	if r.state, err = readDispatcher(l.Index, l.progID); err != nil {
		return nil, explainReading(l, err)
	}
	for i := range r.state.slots {
		h, err := r.state.hold(i)
		r.held = append(r.held, h)
		if err != nil {
			return nil, explainReading(l, err)
		}
		if h.prog != nil {
			continue
		}
		// Its pin is gone. Either so is the dispatcher by now, or somebody has removed the
		// pin and with it the program: the chain runs without it.
		now, err := l.again()
		if err != nil {
			return nil, err
		}
		if now.progID != l.progID {
			return nil, errLostRace
		}
	}
	return r, nil
}

// hold opens a program and the link that holds it in its slot. What isn't there is left
// out.
func (s *state) hold(i int) (h held, err error) {
	if h.prog, err = libbpf.ProgByID(s.slots[i].ID); err != nil {
		return h, unlessGone(err)
	}
	if s.pins != "" {
		if h.link, err = libbpf.ObjGet(linkPin(s.pins, i)); err == nil {
			h.linkPinned = true
		}
		_, err := os.Lstat(progPin(s.pins, i))
		h.progPinned = err == nil
	}
	if h.link != nil {
		return h, nil
	}
	if s.slots[i].linkID == 0 {
		if err := s.findByLinks(); err != nil {
			return h, err
		}
	}
	if id := s.slots[i].linkID; id != 0 {
		h.link, err = libbpf.LinkByID(id)
	}
	return h, unlessGone(err)
}

// explainReading takes a dispatcher that went while it was read for a lost race.
func explainReading(l link, err error) error {
	switch {
	case errors.Is(err, syscall.ENOENT):
		return errLostRace
	case errors.Is(err, errNotDispatcher):
		if legacy := checkLegacy(l); legacy != nil {
			return legacy
		}
	}
	return explainStatus(l, err)
}

func (r *running) close() {
	r.main.Close()
	for _, h := range r.held {
		h.close()
	}
}

// members are the programs of the chain that are still there.
func (r *running) members() []member {
	var all []member
	for i, h := range r.held {
		if s := r.state.slots[i]; h.prog != nil {
			all = append(all, member{Loaded: s.Loaded, layoutSlot: s.layoutSlot, loadTime: s.loadTime, fd: h.prog})
		}
	}
	return all
}

// chain is what Status says of it.
func (r *running) chain(l link) *Chain {
	c := &Chain{Interface: l.Interface, Programs: []Component{}}
	if r.state == nil {
		return c
	}
	c.Mode, c.Dispatcher, c.Frags = &l.mode, &r.state.Loaded, r.state.config.Frags
	c.Version, c.Pins, c.DeviceBound = r.state.config.Version, r.state.pins, r.state.config.DeviceBound
	c.NativeLocked = r.state.locked
	for _, m := range r.members() {
		c.Programs = append(c.Programs, m.component())
	}
	return c
}

func (m member) component() Component {
	return Component{Loaded: m.Loaded, Priority: m.Priority, Actions: m.Actions, Frags: m.hasFrags()}
}
