package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Transaction is a set of changes to the chain of one interface, made in one swap
// of its dispatcher: a packet meets the chain as it was or as it will be. The
// programs that stay are not loaded anew, so they keep their maps and their ids.
// The zero value changes nothing.
type Transaction struct {
	Mode    xdp.Mode      // for a chain that is new; the zero value is native; an existing chain must have it unless ModeUnspecified
	Add     []xdp.Program // programs to load and add
	Remove  []uint32      // ids of programs to take away
	Replace []Replacement // programs that take another's place
	Set     []Setting     // new settings of programs that stay

	// Version is that of the dispatcher that the chain is to have: 2, which libxdp 1.3 to
	// 1.5 write, or 3 of libxdp 1.6. 0 keeps that of a chain that is there, and gives a new
	// one that of the host's libxdp; see [NativeVersion]. A change of the version alone is a
	// change too.
	Version int

	// NativeCompatible refuses what would keep tools of the installed libxdp from
	// changing the chain afterwards ([xdp.ErrNativeLocked]): where libxdp is older than 1.5.5
	// and the kernel 6.12 or newer, a program that changes packet data.
	NativeCompatible bool

	// Warn, if there is one, is told the same before it is done, and afterwards what is
	// replaced or removed and stays loaded all the same; see [DetachOptions].
	Warn func(error)

	// BeforeSwap, if there is one, is told which programs are loaded, those of Add and
	// then those of Replace, right before the chain is changed; an error keeps it from
	// being. It is called again with others where a lost race is started over.
	BeforeSwap func([]Coming) error
}

// Coming is a program that is loaded and will be in a chain.
type Coming struct {
	xdp.Loaded
	Program xdp.Program // as it was asked for, with the Data that it was loaded from
	Old     uint32      // the program whose place it takes; 0: it is added
}

// Replacement is a program that takes the place of one that runs.
type Replacement struct {
	ID      uint32      // the program that goes
	Program xdp.Program // the one that comes; nil Priority and Actions: those of the one that goes

	// KeepMaps makes the program that comes use the maps of the one that goes where
	// they have the same name and layout, those of its global variables (.data, .bss)
	// included; constants (.rodata) are always new. A map of the same name and another
	// layout is an error, and so are other variables in a section.
	KeepMaps bool
}

// Setting is what changes for a program that stays; what is nil is kept.
type Setting struct {
	ID       uint32
	Priority *uint32 // 0 is a priority
	Actions  *xdp.Actions
	Frags    *bool // the program takes packets of several buffers
}

// Committed is what a transaction has done.
type Committed struct {
	Chain    *Chain      // as it is now
	Added    []Component // in the order of Transaction.Add
	Replaced []Replaced  // in the order of Transaction.Replace
	Changed  bool        // false: nothing was to be done, and no swap was made
}

// Replaced is what became of a [Replacement].
type Replaced struct {
	Old      uint32
	New      Component
	KeptMaps []string // maps of the old program that the new one uses; ".bss" and ".data" are global variables
	NewMaps  []string // the other maps of its object
}

// Commit makes the changes: all of them, or none on an error, which then leaves the
// chain as it was and no pin and no program behind. A chain without programs goes
// away with its dispatcher.
//
// It speaks libxdp's protocol, so others may change the chain at the same time: a
// lost race is started over for some seconds, or until ctx ends. While others hold
// the lock on the pins, it waits for as long as ctx lasts. ctx is not looked at any more
// once the chain is being swapped.
//
// Errors: [xdp.ErrInvalid], [xdp.ErrNoInterface], [xdp.ErrNoProgram], [xdp.ErrObject],
// [xdp.ErrVerifier], [xdp.ErrChainFull], [xdp.ErrModeMismatch], [xdp.ErrVersion], [xdp.ErrLegacy],
// [xdp.ErrNoDispatcher], [xdp.ErrModeNotSupported], [xdp.ErrBusy], [xdp.ErrPermission].
func (t Transaction) Commit(ctx context.Context, ifname string) (*Committed, error) {
	c := &commit{Transaction: t}
	if err := c.check(); err != nil {
		return nil, err
	}
	l, err := device.ByName(ifname)
	if err != nil {
		return nil, err
	}
	if err := c.open(ctx); err != nil {
		return nil, err
	}
	defer c.close()
	var done *Committed
	err = untilWon(ctx, l, func(l device.Device) (err error) {
		done, err = c.try(ctx, l)
		return err
	})
	if err != nil {
		c.undoPins()
		return nil, err
	}
	return done, nil
}

// commit is a transaction under way.
type commit struct {
	Transaction
	warned    bool              // Warn was told of tools that are locked out
	toldMixed bool              // and of interfaces that differ
	adds      []*object.Program // of Add
	replaces  []*object.Program // of Replace
}

// check finds what is wrong with a transaction without looking at the system.
func (t Transaction) check() error {
	if t.Mode == xdp.ModeHW {
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: "a chain can't be in hw mode: a device takes one program", Remedy: "use native or skb mode"}
	}
	if n := len(t.Add) + len(t.Replace); n > xdp.MaxPrograms {
		return &xdp.Error{Kind: xdp.ErrChainFull, Msg: fmt.Sprintf("%d programs in one call, and a chain takes %d", n, xdp.MaxPrograms)}
	}
	if t.Version != 0 && !protocol.Writes(t.Version) {
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("no dispatcher of version %d: xdpmux writes versions 2 and 3", t.Version)}
	}
	seen := map[uint32]bool{}
	for _, id := range t.ids() {
		if seen[id] {
			return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("program %d is named twice in one change", id), Remedy: "say once what is to become of it"}
		}
		seen[id] = true
	}
	return nil
}

// ids are those of the programs that the transaction is about.
func (t Transaction) ids() []uint32 {
	ids := append([]uint32{}, t.Remove...)
	for _, r := range t.Replace {
		ids = append(ids, r.ID)
	}
	for _, s := range t.Set {
		ids = append(ids, s.ID)
	}
	return ids
}

// open opens all objects, before anything is looked at or touched.
func (c *commit) open(ctx context.Context) (err error) {
	if c.adds, err = object.OpenAll(ctx, c.Add); err != nil {
		return err
	}
	programs := make([]xdp.Program, len(c.Replace))
	for i, r := range c.Replace {
		programs[i] = r.Program
	}
	if c.replaces, err = object.OpenAll(ctx, programs); err != nil {
		object.CloseAll(c.adds)
	}
	return err
}

func (c *commit) coming() []*object.Program {
	return append(c.adds[:len(c.adds):len(c.adds)], c.replaces...)
}

func (c *commit) close() { object.CloseAll(c.coming()) }

func (c *commit) undoPins() {
	for _, o := range c.coming() {
		o.Pins.Undo()
	}
}

// try makes the changes to the chain as it is now.
func (c *commit) try(ctx context.Context, l device.Device) (*Committed, error) {
	s, err := c.prepare(ctx, l)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if !s.needed {
		return &Committed{Chain: s.old.chain(l)}, nil
	}
	if err := c.beforeSwap(s); err != nil {
		return nil, err
	}
	if err := s.apply(ctx); err != nil {
		return nil, err
	}
	finish(c.Warn, s)
	return c.committed(s), nil
}

// beforeSwap calls BeforeSwap once the programs are loaded.
func (c *commit) beforeSwap(s *swap) error {
	if c.BeforeSwap == nil {
		return nil
	}
	var all []Coming
	for i, o := range c.coming() {
		next := Coming{Loaded: s.component(o).Loaded, Program: o.Spec}
		if i >= len(c.adds) {
			next.Old = c.Replace[i-len(c.adds)].ID
		}
		all = append(all, next)
	}
	return c.BeforeSwap(all)
}

// prepare gets the swap ready that makes the changes to the chain as it is now.
func (c *commit) prepare(ctx context.Context, l device.Device) (_ *swap, err error) {
	mode, err := chooseMode(l, c.Mode)
	if err != nil {
		return nil, err
	}
	s, err := c.outline(ctx, l, mode)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := ctx.Err(); err != nil || !s.needed {
		return s, err
	}
	if len(s.members) > 0 {
		if err := protocol.PrepareBPFFS(); err != nil {
			return s, err
		}
	}
	if err := s.prepare(); err != nil {
		return s, err
	}
	return s, c.checkNative(s)
}

// outline is the swap that makes the changes to the chain as it is now, with nothing
// loaded yet.
func (c *commit) outline(ctx context.Context, l device.Device, mode xdp.Mode) (_ *swap, err error) {
	old, err := readRunning(ctx, l)
	if err != nil {
		return nil, err
	}
	s := &swap{link: l, mode: mode, old: old}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := c.keepMaps(old); err != nil {
		return nil, err
	}
	if s.members, err = c.arrange(l, old.members()); err != nil {
		return nil, err
	}
	s.needed = !sameMembers(sorted(old.members()), s.members)
	return s, c.chooseVersion(s)
}

// chooseVersion finds out the version of the chain to be.
func (c *commit) chooseVersion(s *swap) error {
	if s.version = c.Version; s.old.state == nil {
		if c.Version != 0 && len(s.members) == 0 {
			return noChain(s.link)
		}
		return nil
	}
	was := s.old.state.Config.Version
	if s.version == 0 {
		s.version = was
	}
	if s.needed = s.needed || s.version != was; !s.needed || len(s.members) == 0 {
		return nil
	}
	after := s.old.chain(s.link)
	after.Version = s.version
	return after.Writable()
}

func noChain(l device.Device) error {
	return &xdp.Error{Kind: xdp.ErrNoProgram, Msg: "no chain on " + l.Name, Remedy: "the first program that is loaded makes one"}
}

// committed is the result after a swap, which nothing may fail after.
func (c *commit) committed(s *swap) *Committed {
	done := &Committed{Chain: s.chain(), Changed: true}
	for _, o := range c.adds {
		done.Added = append(done.Added, s.component(o))
	}
	for i, o := range c.replaces {
		done.Replaced = append(done.Replaced, Replaced{Old: c.Replace[i].ID, New: s.component(o), KeptMaps: o.KeptMaps, NewMaps: o.NewMaps})
	}
	return done
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

// explainSwap finds the fault behind a failed step of a swap, as explainAttach does
// for libxdp.
func explainSwap(l device.Device, mode xdp.Mode, err error, said []string) error {
	var explained *xdp.Error
	if errors.As(err, &explained) || errors.Is(err, errLostRace) {
		return err
	}
	if errors.Is(err, syscall.ENODEV) {
		return device.NoInterface(l.Name, err)
	}
	return explainAttach(l, nil, mode, err, said)
}
