package dispatcher

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// member is a program in its place of a chain: one that runs, or one that comes.
type member struct {
	xdp.Loaded // of one that comes, only the name
	protocol.SlotConfig
	loadTime time.Duration   // since boot
	fd       *libbpf.FD      // borrowed, of one that runs
	comes    *object.Program // of one that comes
	insns    int             // the instructions of one that comes
}

// newMember is the place that an opened program asks for.
func newMember(o *object.Program) member {
	m := member{
		Loaded:     xdp.Loaded{Name: o.Bpf.Name()},
		SlotConfig: protocol.SlotConfig{Priority: o.Priority, Actions: o.Actions},
		comes:      o,
		insns:      o.Bpf.Insns(),
	}
	m.SetFrags(o.Frags)
	return m
}

// arrange is the chain that the transaction makes of there, in the order it runs.
func (c *commit) arrange(l device.Device, there []member) ([]member, error) {
	wanted := slices.Clone(there)
	index := func(id uint32) (int, error) {
		i := slices.IndexFunc(wanted, func(m member) bool { return m.comes == nil && m.ID == id })
		if i < 0 || id == 0 {
			return 0, noSuchProgram(l, id, there)
		}
		return i, nil
	}
	for _, s := range c.Set {
		i, err := index(s.ID)
		if err != nil {
			return nil, err
		}
		s.apply(&wanted[i].SlotConfig)
	}
	for n, r := range c.Replace {
		i, err := index(r.ID)
		if err != nil {
			return nil, err
		}
		m := newMember(c.replaces[n])
		if r.Program.Priority == nil {
			m.Priority = wanted[i].Priority
		}
		if r.Program.Actions == nil {
			m.Actions = wanted[i].Actions
		}
		wanted[i] = m
	}
	for _, id := range c.Remove {
		i, err := index(id)
		if err != nil {
			return nil, err
		}
		wanted = slices.Delete(wanted, i, i+1)
	}
	for _, o := range c.adds {
		wanted = append(wanted, newMember(o))
	}
	if len(wanted) > xdp.MaxPrograms {
		return nil, &xdp.Error{Kind: xdp.ErrChainFull,
			Msg:    fmt.Sprintf("%s has %d programs loaded, %d more would pass the limit of %d", l.Name, len(there), len(wanted)-len(there), xdp.MaxPrograms),
			Remedy: "unload one first"}
	}
	return sorted(wanted), nil
}

func sorted(all []member) []member {
	slices.SortStableFunc(all, compareMembers)
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

// compareMembers is the order that libxdp puts programs in, so that a chain runs
// the same whoever wrote it last: by priority, then name; of equal ones, those that
// run before those that come, which run shorter ones first, and then by tag and age.
func compareMembers(a, b member) int {
	if c := cmp.Or(cmp.Compare(a.Priority, b.Priority), strings.Compare(a.Name, b.Name)); c != 0 {
		return c
	}
	if (a.comes == nil) != (b.comes == nil) {
		if a.comes == nil {
			return -1
		}
		return 1
	}
	if a.comes != nil {
		return cmp.Compare(a.insns, b.insns)
	}
	return cmp.Or(strings.Compare(a.Tag, b.Tag), cmp.Compare(a.loadTime, b.loadTime))
}

// sameMembers says whether two arrangements are the same chain.
func sameMembers(a, b []member) bool {
	return slices.EqualFunc(a, b, func(a, b member) bool {
		return a.comes == nil && b.comes == nil && a.ID == b.ID && a.SlotConfig == b.SlotConfig
	})
}

// listMembers names programs by id and name.
func listMembers(all []member) string {
	var list []string
	for _, m := range all {
		list = append(list, fmt.Sprintf("%d (%s)", m.ID, m.Name))
	}
	return strings.Join(list, ", ")
}

// noSuchProgram lists what there is instead.
func noSuchProgram(l device.Device, id uint32, there []member) error {
	e := &xdp.Error{Kind: xdp.ErrNoProgram, Msg: fmt.Sprintf("program %d is not loaded on %s", id, l.Name)}
	switch {
	case len(there) == 0:
		e.Remedy = "nothing is loaded there"
	case id == l.ProgID && id != 0:
		e.Msg = fmt.Sprintf("program %d is the dispatcher of %s, not one of its programs", id, l.Name)
		e.Remedy = "to remove the whole chain: unload -a " + l.Name
	default:
		e.Remedy = "loaded there: " + listMembers(there)
	}
	return e
}

// members are the programs of the chain that are still there.
func (r *openChain) members() []member {
	var all []member
	for i, h := range r.held {
		if s := r.state.Slots[i]; h.Prog != nil {
			all = append(all, member{Loaded: s.Loaded, SlotConfig: s.SlotConfig, loadTime: s.LoadTime, fd: h.Prog})
		}
	}
	return all
}

func (m member) component() Component {
	return Component{Loaded: m.Loaded, Priority: m.Priority, Actions: m.Actions, Frags: m.HasFrags()}
}

func (m member) progFD() int {
	if m.comes != nil {
		return m.comes.Bpf.FD()
	}
	return m.fd.Int()
}
