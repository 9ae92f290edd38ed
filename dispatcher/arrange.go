package dispatcher

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// slot is a slot of the chain to be. Its program runs already, or comes with this change.
// Of one that comes only the name and the place are known until it is loaded.
type slot struct {
	protocol.Slot
	comes *object.Program // nil: it runs
	lone  bool            // it runs without a dispatcher, so it can't stay as it is
}

// newSlot is the slot that an opened program asks for.
func newSlot(o *object.Program) slot {
	s := slot{comes: o}
	s.Name, s.Priority, s.Actions = o.Bpf.Name(), o.Priority, o.Actions
	s.SetFrags(o.Frags)
	return s
}

func (s slot) progFD() int {
	if s.comes != nil {
		return s.comes.Bpf.FD()
	}
	return s.Prog.Int()
}

// arrange works out the chain that the transaction makes of the programs there, in the order
// it will run. linked are the programs of other chains that join, adds and replaces are the opened programs of Add and Replace, adopted is the
// program that comes for the one that runs without a dispatcher.
func (t Transaction) arrange(l device.Device, there, linked []slot, adds, replaces []*object.Program, adopted *object.Program) ([]slot, error) {
	wanted := slices.Clone(there)
	index := func(id uint32) (int, error) {
		i := slices.IndexFunc(wanted, func(m slot) bool { return m.comes == nil && m.ID == id })
		if i < 0 || id == 0 {
			return 0, noSuchProgram(l, id, identities(there)...)
		}
		return i, nil
	}
	for _, s := range t.Set {
		i, err := index(s.ID)
		if err != nil {
			return nil, err
		}
		s.apply(&wanted[i].SlotConfig)
	}
	for n, r := range t.Replace {
		i, err := index(r.ID)
		if err != nil {
			return nil, err
		}
		m := newSlot(replaces[n])
		if r.Program.Priority == nil && !wanted[i].lone {
			m.Priority = wanted[i].Priority
		}
		if r.Program.Actions == nil && !wanted[i].lone {
			m.Actions = wanted[i].Actions
		}
		wanted[i] = m
	}
	for _, id := range t.Remove {
		i, err := index(id)
		if err != nil {
			return nil, err
		}
		wanted = slices.Delete(wanted, i, i+1)
	}
	if i := slices.IndexFunc(wanted, func(m slot) bool { return m.lone }); i >= 0 {
		if adopted == nil {
			return nil, legacyInTheWay(l.Name, wanted[i].Loaded)
		}
		wanted[i] = newSlot(adopted)
	} else if adopted != nil {
		return nil, &xdp.Error{Kind: xdp.ErrInvalid, Msg: "a program is to be adopted, and to be replaced or removed too", Remedy: "say once what is to become of it"}
	}
	for _, m := range linked {
		if slices.ContainsFunc(there, func(t slot) bool { return t.ID == m.ID }) {
			return nil, &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("%v is in the chain on %s already", m.Loaded, l.Name)}
		}
		wanted = append(wanted, m)
	}
	for _, o := range adds {
		wanted = append(wanted, newSlot(o))
	}
	if len(wanted) > xdp.MaxPrograms {
		return nil, &xdp.Error{Kind: xdp.ErrChainFull,
			Msg:    fmt.Sprintf("%s has %d programs loaded, %d more would pass the limit of %d", l.Name, len(there), len(wanted)-len(there), xdp.MaxPrograms),
			Remedy: "unload one first"}
	}
	return sorted(wanted), nil
}

func sorted(all []slot) []slot {
	slices.SortStableFunc(all, compareSlots)
	return all
}

func (s Setting) apply(slot *protocol.SlotConfig) {
	if s.Priority != nil {
		slot.Priority = *s.Priority
	}
	if s.Actions != nil {
		slot.Actions = *s.Actions
	}
	if s.Frags != nil {
		slot.SetFrags(*s.Frags)
	}
}

// compareSlots is the order that libxdp puts programs in, so that a chain runs the same
// whoever wrote it last. The priority comes first, then the name. Of two that are equal, one
// that runs comes before one that is loaded now. Of two that run, the tag decides, then the
// age; of two that are loaded now, the number of instructions.
func compareSlots(a, b slot) int {
	c := cmp.Or(cmp.Compare(a.Priority, b.Priority), strings.Compare(a.Name, b.Name))
	switch {
	case c != 0:
		return c
	case a.comes != nil && b.comes != nil:
		return cmp.Compare(a.comes.Insns, b.comes.Insns)
	case a.comes != nil:
		return 1
	case b.comes != nil:
		return -1
	}
	return cmp.Or(strings.Compare(a.Tag, b.Tag), cmp.Compare(a.LoadTime, b.LoadTime))
}

func identities(all []slot) (ids []xdp.Loaded) {
	for _, s := range all {
		ids = append(ids, s.Loaded)
	}
	return ids
}

// sameSlots says whether two arrangements are the same chain.
func sameSlots(a, b []slot) bool {
	return slices.EqualFunc(a, b, func(a, b slot) bool {
		return a.comes == nil && b.comes == nil && a.ID == b.ID && a.SlotConfig == b.SlotConfig
	})
}

// noSuchProgram lists what there is instead.
func noSuchProgram(l device.Device, id uint32, there ...xdp.Loaded) error {
	e := &xdp.Error{Kind: xdp.ErrNoProgram, Msg: fmt.Sprintf("program %d is not loaded on %s", id, l.Name)}
	var list []string
	for _, p := range there {
		list = append(list, fmt.Sprintf("%d (%s)", p.ID, p.Name))
	}
	switch {
	case len(there) == 0:
		e.Remedy = "nothing is loaded there"
	case id == l.ProgID && id != 0:
		e.Msg = fmt.Sprintf("program %d is the dispatcher of %s, not one of its programs", id, l.Name)
		e.Advise("to remove the whole chain: %v", xdp.Hint{To: xdp.HintDetachAll, Interface: l.Name})
	default:
		e.Remedy = "loaded there: " + strings.Join(list, ", ")
	}
	return e
}
