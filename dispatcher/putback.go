package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Back is what [PutBack] has done.
type Back struct {
	Interface xdp.Interface `json:"interface"`

	// Whole says that the interface has what it had before: the same dispatcher or lone
	// program. If it is false, others have changed the chain since, and what follows was done
	// to theirs.
	Whole    bool         `json:"whole"`
	Removed  []xdp.Loaded `json:"removed"`        // programs that the change had brought
	Returned []xdp.Loaded `json:"returned"`       // programs that the change had removed
	Reset    []xdp.Loaded `json:"reset"`          // programs that the change had moved or set
	Left     string       `json:"left,omitempty"` // what is not as it was, and why; empty: nothing
}

// PutBack takes a change back that [Changing] told of, and that kept what was there: before
// and after are its chains. If the interface has what the change has put there, PutBack puts
// the old dispatcher back in one swap, with the programs, maps and ids that it had. If others
// have changed the chain meanwhile, PutBack undoes in their chain, also in one swap, what is
// still of this change: it removes the programs that came, brings those back that went, and
// resets what was set. If the change was never made or has been put back already, there is
// nothing to do.
//
// Errors: [xdp.ErrNoInterface], [xdp.ErrNoProgram] if what was kept is gone, and those of
// [Transaction.Commit]. After an error the interface is as PutBack found it.
func PutBack(ctx context.Context, before, after *Chain) (*Back, error) {
	l, err := device.ByIndex(before.Interface.Index, before.Interface.Name)
	if err != nil {
		return nil, err
	}
	p := &puttingBack{before: before, after: after, old: &openChain{}}
	if l.ProgID != before.MainID() { // else what was kept isn't needed, and may be gone
		if err := p.open(ctx, l); err != nil {
			return nil, err
		}
		defer p.old.close()
	}
	var back *Back
	err = untilWon(ctx, l, func(l device.Device) (err error) {
		back, err = p.try(ctx, l)
		return err
	})
	return back, err
}

// Forget removes what [Changing.Keep] has pinned of a chain. What isn't there is fine.
func Forget(ctx context.Context, before *Chain) error {
	root, err := protocol.LockPins(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	err = root.Remove(protocol.KeptName(before.Interface.Index, before.MainID()))
	return errors.Join(err, dropCallArrays(root, before.programs(), nil))
}

// ForgetAllBut does the same for all chains but these, and lists the directories of pins.
func ForgetAllBut(ctx context.Context, dryRun bool, needed []*Chain) (removed []string, err error) {
	root, err := protocol.LockPins(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	names, err := root.Entries()
	if err != nil {
		return nil, protocol.ExplainPins(err)
	}
	for _, name := range names {
		index, id, ok := protocol.KeptID(name)
		if !ok || slices.ContainsFunc(needed, func(c *Chain) bool { return c.MainID() == id }) {
			continue
		}
		if !dryRun {
			if err := root.Remove(name); err != nil {
				return removed, protocol.ExplainPins(err)
			}
		}
		removed = append(removed, protocol.KeptDir(index, id))
	}
	return removed, nil
}

// puttingBack is a PutBack under way.
type puttingBack struct {
	before, after *Chain
	old           *openChain // what the interface had
}

// open opens what was kept.
func (p *puttingBack) open(ctx context.Context, l device.Device) (err error) {
	id := p.before.MainID()
	if id == 0 {
		return nil
	}
	dir := protocol.KeptDir(l.Index, id)
	defer func() {
		if errors.Is(err, syscall.ENOENT) {
			err = &xdp.Error{Kind: xdp.ErrNoProgram, Err: err, Msg: fmt.Sprintf("what %s had before is gone: its pins in %s were removed", l.Name, dir)}
		}
		if err != nil {
			p.old.close()
		}
	}()
	if p.old.main, err = libbpf.ObjGet(protocol.MainPin(dir)); err != nil {
		return err
	}
	if p.before.Legacy != nil {
		return p.old.isLone()
	}
	root, err := protocol.OpenPinRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	if p.old.Dispatcher, err = protocol.Open(root, l.Index, id, p.old.main); err != nil {
		return err
	}
	for i := range p.old.Slots {
		if err := p.old.Hold(i); err != nil {
			return err
		}
		s := &p.old.Slots[i]
		s.LinkPinned, s.ProgPinned = s.Link != nil, s.Link != nil
	}
	p.old.Pins = protocol.PinDir(l.Index, id)
	return ctx.Err()
}

// try puts back what the interface had, as the interface is now.
func (p *puttingBack) try(ctx context.Context, l device.Device) (*Back, error) {
	back := &Back{Interface: l.Interface, Removed: []xdp.Loaded{}, Returned: []xdp.Loaded{}, Reset: []xdp.Loaded{}}
	switch now := l.ProgID; {
	case now != 0 && now == p.after.MainID():
		// It is what the change has put there, whatever the interface is called by now.
	case l.Name != p.before.Interface.Name:
		return nil, device.NoInterface(p.before.Interface.Name, nil)
	case now == p.before.MainID():
		back.Whole = true // the change was not made, or is back already
		p.unpin(l, back, p.after.MainID())
		return back, nil
	case now != p.after.MainID():
		return back, p.merge(ctx, l, back)
	}
	back.Whole = true
	return back, p.swap(ctx, l, back)
}

// swap puts the old dispatcher or lone program in the place of what is there.
func (p *puttingBack) swap(ctx context.Context, l device.Device, back *Back) error {
	var now *libbpf.FD
	if l.ProgID != 0 {
		var err error
		if now, err = protocol.OpenMain(l.Index, l.ProgID); errors.Is(err, syscall.ENOENT) {
			return errLostRace
		} else if err != nil {
			return explainReading(l, err)
		}
		defer now.Close()
	}
	s := &swap{iface: l, mode: l.Mode, old: p.old}
	if l.ProgID == 0 && p.before.Mode != nil {
		s.mode = *p.before.Mode
	}
	trace := traceOf(ctx)
	trace.Changing(readChain(l), p.before, nil)
	if err := s.putBack(ctx, now.Int(), p.before.MainID()); err != nil {
		return err
	}
	trace.Changed(p.before)
	p.unpin(l, back, l.ProgID, p.after.MainID())
	return nil
}

// unpin removes the pins of dispatchers that are on the interface no more. What can't be
// removed is told of in Back.Left.
func (p *puttingBack) unpin(l device.Device, back *Back, ids ...uint32) {
	if p.before.MainID() != 0 {
		loaded.WaitForPackets()
	}
	for _, id := range ids {
		if id == 0 || id == p.before.MainID() {
			continue
		}
		if err := unpin(l.Index, id, p.after.programs()); err != nil {
			back.Left = pinsLeft(l, protocol.PinDir(l.Index, id), err).Error()
		}
	}
}

// merge undoes in the chain of others what is still of the change.
func (p *puttingBack) merge(ctx context.Context, l device.Device, back *Back) error {
	now := readChain(l)
	switch {
	case now.Err != nil:
		return now.Err
	case now.Legacy != nil:
		if back.Left = p.went(now); back.Left != "" {
			back.Left += fmt.Sprintf(" could not come back: %s, which others have attached without a dispatcher, has the interface to itself", now.Legacy)
		}
		return nil
	}
	c := &commit{Transaction: Transaction{Mode: xdp.ModeUnspecified}}
	if now.Dispatcher == nil && p.before.Mode != nil {
		c.Mode = *p.before.Mode
	}
	if err := p.plan(c, now, back); err != nil {
		return err
	}
	if len(now.Programs) == len(c.Remove) && p.before.Legacy != nil {
		back.Whole, back.Removed = true, []xdp.Loaded{}
		return p.swap(ctx, l, back)
	}
	_, err := c.try(ctx, l)
	if errors.Is(err, xdp.ErrNoProgram) {
		return errors.Join(errLostRace, err)
	}
	return err
}

// plan works out what is to be done to the chain as it is now.
func (p *puttingBack) plan(c *commit, now *Chain, back *Back) error {
	for _, is := range now.Programs {
		was, wasThere := p.before.component(is.ID)
		made, wasMade := p.after.component(is.ID)
		switch {
		case !wasMade: // others have brought it, or have it back already
		case !wasThere:
			c.Remove, back.Removed = append(c.Remove, is.ID), append(back.Removed, is.Loaded)
		case made != was && is == made:
			c.Set = append(c.Set, Setting{ID: is.ID, Priority: &was.Priority, Actions: &was.Actions, Frags: &was.Frags})
			back.Reset = append(back.Reset, is.Loaded)
		}
	}
	if p.before.Dispatcher != nil && p.after.Dispatcher != nil && p.before.Version != p.after.Version && now.Version == p.after.Version {
		c.Version = p.before.Version
	}
	room := xdp.MaxPrograms - (len(now.Programs) - len(c.Remove))
	var noRoom, left []string
	cant, err := p.cantBind(now)
	if err != nil {
		return err
	}
	for _, s := range p.old.slots() {
		_, stayed := p.after.component(s.ID)
		_, there := now.component(s.ID)
		switch {
		case stayed || there || s.lone:
		case slices.Contains(cant, s.ID):
			left = append(left, fmt.Sprintf("%v could not come back: it is bound to its device, for metadata, and the chain that others have made is in skb mode", s.Loaded))
		case room == 0:
			noRoom = append(noRoom, s.Loaded.String())
		default:
			room--
			c.linked, back.Returned = append(c.linked, s), append(back.Returned, s.Loaded)
		}
	}
	if len(noRoom) > 0 {
		left = append(left, strings.Join(noRoom, " and ")+" could not come back: the chain that others have made is full")
	}
	if p.before.Legacy != nil && len(now.Programs) > len(c.Remove) {
		left = append(left, fmt.Sprintf("%s could not come back: it runs without a dispatcher, and others have programs there", p.before.Legacy))
	}
	back.Left = strings.Join(left, "; ")
	return nil
}

// cantBind are the programs that can't come back into the chain, as they are bound to the device
// and the chain can't be.
func (p *puttingBack) cantBind(now *Chain) (ids []uint32, err error) {
	if !p.before.DeviceBound || now.Mode == nil || *now.Mode != xdp.ModeSKB {
		return nil, nil
	}
	bound, err := boundOf(p.old.slots())
	for _, s := range bound {
		ids = append(ids, s.ID)
	}
	return ids, err
}

// went are the programs that the change has removed and that run no more, in words.
func (p *puttingBack) went(now *Chain) string {
	var all []string
	for _, s := range p.old.slots() {
		if _, stayed := p.after.component(s.ID); !stayed && s.ID != now.MainID() {
			all = append(all, s.Loaded.String())
		}
	}
	return strings.Join(all, " and ")
}

// programs are the ids of the programs of the chain, or that of the legacy program.
func (c *Chain) programs() (ids []uint32) {
	if c.Legacy != nil {
		ids = append(ids, c.Legacy.ID)
	}
	for _, p := range c.Programs {
		if p.ID != 0 {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// component is the program of the chain with that id.
func (c *Chain) component(id uint32) (Component, bool) {
	i := slices.IndexFunc(c.Programs, func(p Component) bool { return p.ID == id && id != 0 })
	if i < 0 {
		return Component{}, false
	}
	return c.Programs[i], true
}
