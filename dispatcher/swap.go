package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// xdpFlag asks the kernel for the mode; unspecified leaves it the choice.
func xdpFlag(m xdp.Mode) libbpf.XDPFlags {
	return [...]libbpf.XDPFlags{libbpf.XDPNative, libbpf.XDPSKB, libbpf.XDPHardware, 0}[m]
}

// swap puts a new dispatcher on an interface in place of what is there:
//
//	prepare      loads and links; nothing of it can be seen yet
//	apply        pins it and puts it on the interface, or undoes all that
//	revert       takes it back, see revert.go
//	finish       removes the pins of the old one, for several swaps at once
//	close        lets go of what isn't pinned
type swap struct {
	iface   device.Device
	mode    xdp.Mode
	old     *openChain
	slots   []slot    // of the new chain
	version int       // of the new dispatcher; 0: that of a new chain
	bound   bool      // the new dispatcher is bound to the device
	needed  bool      // the new chain differs from the old one
	next    *assembly // the new dispatcher; nil: the chain goes away
	unclear bool      // apply doesn't know whether the swap was made
}

func (s *swap) prepare(host *protocol.HostDispatcher) error {
	if len(s.slots) == 0 {
		return nil
	}
	var err error
	b := blueprint{version: s.version, locked: s.old.Dispatcher != nil && s.old.Locked, host: host}
	if s.bound {
		b.boundTo = s.iface.Index
	}
	if s.next, err = assemble(s.slots, b); err != nil {
		if s.bound {
			err = explainBinding(s.iface, err)
		}
		return explainSwap(s.iface, s.attempt(), err, nil)
	}
	for i := range s.slots {
		m := &s.slots[i]
		if m.comes != nil {
			if m.Program, err = loaded.ByFD(m.progFD()); err != nil {
				return err
			}
			m.Name = m.comes.Bpf.Name() // the kernel may cut it
		}
		s.next.Slots = append(s.next.Slots, m.Slot)
	}
	return nil
}

func (s *swap) close() {
	s.old.close()
	if s.next != nil {
		s.next.close()
	}
}

// apply makes the swap if the interface still has the old dispatcher. While others hold
// the lock on the pins, it waits as long as ctx lasts.
func (s *swap) apply(ctx context.Context) error {
	trace := traceOf(ctx)
	trace.Changing(s.before(), s.after(), s.sources())
	err := s.explained(func() error { return s.pinAndAttach(ctx) })
	if err == nil {
		trace.Changed(s.after())
	}
	return err
}

// changing calls f, if there is one, for each swap before it is made.
func changing(f func(*Changing) error, swaps ...*swap) error {
	for _, s := range swaps {
		if f == nil {
			return nil
		}
		c := &Changing{Before: s.before(), After: s.after(), keepIn: s.old.keepIn}
		for _, m := range s.slots {
			c.addPins(m.comes)
		}
		if err := f(c); err != nil {
			return err
		}
	}
	return nil
}

// before is what the interface has before the swap.
func (s *swap) before() *Chain {
	c := newChain(s.iface, s.old.Dispatcher)
	if s.old.lone != nil {
		c.Legacy, c.Mode = &s.old.lone.Loaded, &s.iface.Mode
	}
	return c.withHardware(s.iface)
}

// after is what the swap puts there.
func (s *swap) after() *Chain {
	l := s.iface
	l.Mode = s.mode
	if s.next == nil {
		return newChain(l, nil).withHardware(l)
	}
	return newChain(l, &s.next.Dispatcher).withHardware(l)
}

// sources are what the programs that come are loaded from, by their ids.
func (s *swap) sources() map[uint32]xdp.Program {
	all := map[uint32]xdp.Program{}
	for _, m := range s.slots {
		if m.comes != nil {
			all[m.ID] = m.comes.Spec
		}
	}
	return all
}

// explained calls f, which changes what is on the interface, and finds the fault
// behind its error.
func (s *swap) explained(f func() error) error {
	said, err := native.Recorded(f)
	if err != nil {
		return explainSwap(s.iface, s.attempt(), err, said)
	}
	return nil
}

func (s *swap) attempt() attempt {
	return attempt{mode: s.mode, over: s.old.Dispatcher != nil, off: s.next == nil, frags: s.next != nil && s.next.Config.Frags}
}

// pinAndAttach makes the swap. It holds the lock from the first pin on, so that nobody takes
// the pins for leftovers.
func (s *swap) pinAndAttach(ctx context.Context) error {
	if s.next == nil {
		return s.outcome(0, attachXDP(s.iface.Index, noProgram, s.old.main.Int(), s.mode))
	}
	root, err := protocol.LockPins(ctx)
	if err != nil {
		return err
	}
	defer root.Close()
	// The wait for the lock may have been long. By now another interface may have the index.
	if now, err := s.iface.Again(); err != nil {
		return err
	} else if now.ProgID != s.iface.ProgID {
		return errLostRace
	}
	name := protocol.PinName(s.iface.Index, s.next.ID)
	if err := s.pin(root, name); err != nil {
		return errors.Join(protocol.ExplainPins(fmt.Errorf("pin the chain below %s: %w", protocol.PinDir(s.iface.Index, s.next.ID), err)), root.RemoveAll(s.iface.Index, s.next.ID))
	}
	if err := s.pinCallArrays(root); err != nil {
		err = protocol.ExplainPins(fmt.Errorf("pin the program arrays of the chain: %w", err))
		return errors.Join(err, root.RemoveAll(s.iface.Index, s.next.ID), dropCallArrays(root, s.coming(), []uint32{s.next.ID}))
	}
	err = s.outcome(s.next.ID, attachXDP(s.iface.Index, s.next.main.FD(), s.old.main.Int(), s.mode))
	if err == nil && s.old.main == nil { // a swap names the program that it replaces
		err = takenForAnother(s.iface, s.next.main.FD(), s.mode)
	}
	if err != nil && !errors.Is(err, errUnclear) {
		return errors.Join(err, root.RemoveAll(s.iface.Index, s.next.ID), dropCallArrays(root, s.coming(), []uint32{s.next.ID}))
	}
	return err
}

// takenForAnother looks whether a program that was put on an interface without one is on
// another interface, which has got the index of l just before. If so, it takes the program off
// again, and the error says what happened.
func takenForAnother(l device.Device, main int, mode xdp.Mode) error {
	_, err := l.Again()
	if !errors.Is(err, device.ErrAnother) {
		return nil // l may have moved to another namespace, and taken the program along
	}
	return errors.Join(err, takeOff(l, main, mode))
}

// takeOff takes a program off that was attached just before.
func takeOff(l device.Device, main int, mode xdp.Mode) error {
	return libbpf.XDPAttach(l.Index, noProgram, xdpFlag(mode)|libbpf.XDPReplace, main)
}

// errUnclear says that nobody knows whether a swap was made: its pins have to stay.
var errUnclear = errors.New("no answer of the kernel")

// outcome decides whether a swap that returned err was made all the same. wanted is the id of
// the program that the swap should have put there, 0 for none. The kernel can make a change
// and then have no memory for the answer, so what the interface has now is what counts.
func (s *swap) outcome(wanted uint32, err error) error {
	if err == nil {
		return nil
	}
	now, lookErr := s.iface.Again()
	switch {
	case errors.Is(lookErr, xdp.ErrNoInterface):
		return lookErr
	case lookErr != nil:
		return (&xdp.Error{Kind: xdp.ErrSystem, Err: errors.Join(errUnclear, err, lookErr),
			Msg: fmt.Sprintf("can't tell whether the chain on %s was changed: %s", s.iface.Name, native.Cause(err))}).
			Advise("%v shows what runs, and %v removes pins that are left", xdp.Hint{To: xdp.HintStatus}, xdp.Hint{To: xdp.HintClean})
	case (errors.Is(err, syscall.EEXIST) || errors.Is(err, syscall.EBUSY)) && now.ProgID != s.iface.ProgID:
		return errLostRace
	case now.ProgID == wanted:
		return nil
	}
	return err
}

// noProgram stands for no program where attachXDP takes a descriptor.
const noProgram = -1

// attachXDP puts the program with the descriptor main on the interface in place of old. If
// old is noProgram, the interface must have none.
func attachXDP(ifindex, main, old int, mode xdp.Mode) error {
	flags := xdpFlag(mode)
	if old == noProgram {
		flags |= libbpf.XDPUpdateIfNoExist
	} else {
		flags |= libbpf.XDPReplace
	}
	return libbpf.XDPAttach(ifindex, main, flags, old)
}

// pin pins all programs and links.
func (s *swap) pin(root *protocol.PinRoot, name string) error {
	if err := root.Create(name); err != nil {
		return err
	}
	s.next.Pins = protocol.PinDir(s.iface.Index, s.next.ID)
	for i, m := range s.slots {
		if err := libbpf.ObjPin(s.next.links[i].Int(), protocol.LinkPin(s.next.Pins, i)); err != nil {
			return err
		}
		if err := libbpf.ObjPin(m.progFD(), protocol.ProgPin(s.next.Pins, i)); err != nil {
			return err
		}
	}
	return root.PinOwn(s.iface.Index, &s.next.Dispatcher, s.next.main.FD(), s.next.file.Maps()[0].FD())
}

// pinCallArrays pins the program arrays of the programs that come.
func (s *swap) pinCallArrays(root *protocol.PinRoot) error {
	for _, m := range s.slots {
		if m.comes == nil {
			continue
		}
		if err := pinCallArrays(root, m.comes, m.ID); err != nil {
			return err
		}
	}
	return nil
}

// coming are the ids of the programs that come, leaving those of the programs that go.
func (s *swap) coming() (ids []uint32) {
	for _, m := range s.slots {
		if m.comes != nil {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

func (s *swap) leaving() (ids []uint32) {
	for _, m := range s.old.slots() {
		if !slices.ContainsFunc(s.slots, func(stays slot) bool { return stays.ID == m.ID }) {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// unfinished is a swap that was made, and who is told of what follows it.
type unfinished struct {
	*swap
	warn func(error)
}

// finish removes the pins of the old chains, which no packet enters any more, and lets go of
// all that isn't pinned. It tells each warn, if there is one, what stays loaded all the same, and
// what the driver doesn't give to a new chain.
func finish(swaps ...unfinished) {
	// Where no chain comes, there is no need to wait: a packet that skips a program could as
	// well have arrived after the removal.
	if slices.ContainsFunc(swaps, func(p unfinished) bool { return p.old.Dispatcher != nil && p.next != nil }) {
		loaded.WaitForPackets()
	}
	for _, p := range swaps {
		s, warn := p.swap, p.warn
		if s.next != nil {
			s.chain().warnMTU(warn)
			s.warnMetadata(warn)
		}
		leaving := s.leaving()
		if s.old.Dispatcher == nil {
			if err := unpinCallArrays(leaving); err != nil && warn != nil {
				warn(pinsLeft(s.iface, protocol.PinRootDir(), err))
			}
			continue
		}
		err := unpin(s.iface.Index, s.old.ID, leaving)
		s.close()
		if warn == nil {
			continue
		}
		if err != nil {
			warn(pinsLeft(s.iface, protocol.PinDir(s.iface.Index, s.old.ID), err))
		}
		if left := s.old.stillHeld(s.iface.Name); left != nil {
			warn(left)
		}
	}
}

// warnMetadata tells warn, if there is one, of metadata that the programs which come ask for and
// the driver doesn't have.
func (s *swap) warnMetadata(warn func(error)) {
	if warn == nil {
		return
	}
	for _, m := range s.slots {
		if m.comes == nil {
			continue
		}
		if err := checkTold(s.iface, m.comes); err != nil {
			warn(err)
		}
	}
}

func pinsLeft(l device.Device, dir string, err error) error {
	return (&xdp.Error{Kind: xdp.ErrSystem, Err: err,
		Msg: fmt.Sprintf("the pins of the chain that was on %s are left in %s: %v", l.Name, dir, err)}).
		Advise("%v removes them once that is possible", xdp.Hint{To: xdp.HintClean})
}

// unpin removes the pins of a dispatcher that is on no interface any more, and those of the
// program arrays of these programs unless they are in another chain.
func unpin(ifindex int, id uint32, programs []uint32) error {
	root, err := protocol.LockPins(context.Background()) // the swap is made: there is no way back
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	return errors.Join(root.RemoveAll(ifindex, id), dropCallArrays(root, programs, []uint32{id}))
}

// chain is what the interface has after the swap.
func (s *swap) chain() *Chain {
	if s.next == nil {
		return newChain(s.iface, nil)
	}
	return newChain(attachedIn(s.iface, s.mode), &s.next.Dispatcher)
}

// attachedIn is an interface on which a program was attached in the mode. It asks the kernel for
// the mode that the kernel has chosen.
func attachedIn(l device.Device, mode xdp.Mode) device.Device {
	l.Mode = mode
	if mode == xdp.ModeUnspecified {
		if now, err := l.Again(); err == nil {
			l.Mode = now.Mode
		}
	}
	return l
}

// component is what an opened program became in the new chain.
func (s *swap) component(o *object.Program) Component { return componentOf(s.slot(o)) }

// slot is the slot of an opened program in the new chain.
func (s *swap) slot(o *object.Program) protocol.Slot {
	for _, m := range s.slots {
		if m.comes == o {
			return m.Slot
		}
	}
	return protocol.Slot{}
}
