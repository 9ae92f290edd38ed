package dispatcher

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// running is the chain that is on an interface, held open so that nothing of it can
// go while it is being replaced.
type running struct {
	state *state     // nil: no chain
	main  *libbpf.FD // the dispatcher
	progs []*libbpf.FD
}

// readRunning opens the chain of an interface. The interface's main program must be
// a dispatcher or none.
func readRunning(l link) (_ *running, err error) {
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
	root, err := lockPins()
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // without pins there is nothing to lock
		return nil, err
	}
	r.state, err = readDispatcher(l.Index, l.progID)
	root.close()
	if err != nil {
		return nil, explainReading(l, err)
	}
	for _, s := range r.state.slots {
		fd, err := libbpf.ProgByID(s.ID)
		if errors.Is(err, syscall.ENOENT) {
			// Its pin is gone. Either so is the dispatcher by now, or somebody has
			// removed the pin and with it the program: the chain runs without it.
			now, err := l.again()
			if err != nil {
				return nil, err
			}
			if now.progID != l.progID {
				return nil, errLostRace
			}
		} else if err != nil {
			return nil, explainReading(l, err)
		}
		r.progs = append(r.progs, fd)
	}
	return r, nil
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
	for _, fd := range r.progs {
		fd.Close()
	}
}

// members are the programs of the chain that are still there.
func (r *running) members() []member {
	var all []member
	for i, fd := range r.progs {
		if s := r.state.slots[i]; fd != nil {
			all = append(all, member{Loaded: s.Loaded, layoutSlot: s.layoutSlot, loadTime: s.loadTime, fd: fd})
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
