package dispatcher

import (
	"context"
	"fmt"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Commit makes the changes: all of them, or none on an error. After an error the chain is as
// it was, and no pin and no program is left behind. A chain without programs goes away with
// its dispatcher.
//
// Others that speak libxdp's protocol may change the chain at the same time. A lost race is
// started over for some seconds, or until ctx ends. While others hold the lock on the pins,
// Commit waits for as long as ctx lasts. Once the chain is being swapped, ctx is not looked
// at any more.
//
// Errors: [xdp.ErrInvalid], [xdp.ErrNoInterface], [xdp.ErrNoProgram], [xdp.ErrObject],
// [xdp.ErrVerifier], [xdp.ErrChainFull], [xdp.ErrModeMismatch], [xdp.ErrVersion], [xdp.ErrLegacy],
// [xdp.ErrNoDispatcher], [xdp.ErrModeNotSupported], [xdp.ErrBusy], [xdp.ErrPermission].
func (t Transaction) Commit(ctx context.Context, ifname string) (*Committed, error) {
	return t.commit(ctx, ifname, nil)
}

// commit adds the swap to those of a batch that are to be finished later; nil: it finishes it.
func (t Transaction) commit(ctx context.Context, ifname string, batch *Batch) (*Committed, error) {
	c := &commit{Transaction: t, batch: batch}
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
	shared    bool              // several interfaces are to have the programs of Add
	warned    bool              // Warn was told of tools that are locked out
	toldMixed bool              // Warn was told of programs that run on some interfaces only
	adds      []*object.Program // of Add
	replaces  []*object.Program // of Replace
	adopted   map[int]adopted   // of Adopt, by the index of the interface
	batch     *Batch            // to which the swap is added; nil: it is finished at once
	linked    []slot            // of Link; of a change that is taken back, the programs that come back
	own       once
}

// once is what is done once for all swaps of a call or a batch.
type once struct {
	host     protocol.HostDispatcher
	prepared bool // the bpffs is
}

func (c *commit) once() *once {
	if c.batch != nil {
		return &c.batch.once
	}
	return &c.own
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
		return err
	}
	for _, s := range c.Link {
		m, err := openLinked(s)
		if err != nil {
			c.close()
			return err
		}
		c.linked = append(c.linked, m)
	}
	return nil
}

func (c *commit) coming() []*object.Program {
	all := append(c.adds[:len(c.adds):len(c.adds)], c.replaces...)
	for _, a := range c.adopted {
		all = append(all, a.comes)
	}
	return all
}

func (c *commit) close() {
	object.CloseAll(c.coming())
	for _, m := range c.linked {
		m.Prog.Close()
	}
}

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
	held := false
	defer func() {
		if !held {
			s.close()
		}
	}()
	if !s.needed {
		return &Committed{Chain: newChain(l, s.old.Dispatcher)}, nil
	}
	if err := c.beforeSwap(s); err != nil {
		return nil, err
	}
	if err := changing(c.Changing, s); err != nil {
		return nil, err
	}
	if err := s.apply(ctx); err != nil {
		return nil, err
	}
	done := c.committed(s)
	if held = c.batch != nil; held {
		c.batch.swaps = append(c.batch.swaps, unfinished{s, c.Warn})
	} else {
		finish(unfinished{s, c.Warn})
	}
	return done, nil
}

// beforeSwap calls BeforeSwap once the programs are loaded. All swaps share the programs of
// Add and Replace.
func (c *commit) beforeSwap(swaps ...*swap) error {
	if c.BeforeSwap == nil {
		return nil
	}
	var all []Coming
	tell := func(s *swap, o *object.Program, old uint32) {
		slot := s.slot(o)
		all = append(all, Coming{Loaded: slot.Loaded, LoadTime: slot.LoadTime, Program: o.Spec, Old: old})
	}
	for _, o := range c.adds {
		tell(swaps[0], o, 0)
	}
	for i, o := range c.replaces {
		tell(swaps[0], o, c.Replace[i].ID)
	}
	for _, s := range swaps {
		if a, ok := c.adopted[s.iface.Index]; ok {
			tell(s, a.comes, a.lone.ID)
		}
	}
	return c.BeforeSwap(all)
}

// prepare loads all that the changes to the chain, as it is now, take. The swap is then ready
// to be applied.
func (c *commit) prepare(ctx context.Context, l device.Device) (_ *swap, err error) {
	mode, err := c.chooseMode(l)
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
	once := c.once()
	if len(s.slots) > 0 && !once.prepared {
		if err := protocol.PrepareBPFFS(); err != nil {
			return s, err
		}
		once.prepared = true
	}
	if err := c.goOnForAdopted(s); err != nil {
		return s, err
	}
	if err := c.bindAgain(s); err != nil {
		return s, err
	}
	if err := s.prepare(&once.host); err != nil {
		return s, err
	}
	return s, c.checkNative(s)
}

// outline plans the swap that makes the changes to the chain as it is now. It loads nothing.
func (c *commit) outline(ctx context.Context, l device.Device, mode xdp.Mode) (_ *swap, err error) {
	old, err := openOn(ctx, l, c.takesLone(l))
	if err != nil {
		return nil, err
	}
	s := &swap{iface: l, mode: mode, old: old}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := c.keepMaps(old); err != nil {
		return nil, err
	}
	comes, err := c.openAdopted(ctx, l, old)
	if err != nil {
		return nil, err
	}
	if s.slots, err = c.arrange(l, old.slots(), c.linked, c.adds, c.replaces, comes); err != nil {
		return nil, err
	}
	s.needed = !sameSlots(sorted(old.slots()), s.slots)
	var shared []*object.Program
	if c.shared {
		shared = c.adds
	}
	was := old.Dispatcher != nil && old.Config.DeviceBound
	if s.bound, err = chooseBinding(was, s.slots, mode, shared); err != nil {
		return nil, err
	}
	return s, c.chooseVersion(s)
}

// bindAgain binds the chain where a program comes back into it, or from another one, that is bound
// to the device: others may have made the chain anew meanwhile.
func (c *commit) bindAgain(s *swap) error {
	if s.bound || len(c.linked) == 0 {
		return nil
	}
	bound, err := boundOf(c.linked)
	if err != nil || len(bound) == 0 {
		return err
	}
	if s.mode == xdp.ModeSKB {
		return &xdp.Error{Kind: xdp.ErrModeNotSupported,
			Msg: fmt.Sprintf("%v is bound to its device, for metadata, and a chain in skb mode can't be", bound[0].Loaded)}
	}
	s.bound = true
	return nil
}

// keepMaps makes programs use the maps of those that they replace, where that was asked for.
// It chooses the maps once: the choice stays when a lost race is started over.
func (c *commit) keepMaps(old *openChain) error {
	for i, r := range c.Replace {
		o := c.replaces[i]
		if !r.KeepMaps || o.Kept != nil {
			continue
		}
		for _, m := range old.slots() {
			if m.ID != r.ID {
				continue
			}
			if err := o.ChooseMaps(m.progFD(), m.Loaded); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkNative looks whether native tools can still change the chain after the swap. If they
// can't, it refuses the swap or tells Warn, as the transaction says.
func (c *commit) checkNative(s *swap) error {
	if s.next == nil || !s.next.Locked && !s.bound {
		return nil
	}
	warning := nativeLock(s.iface, s.next.reason)
	was := s.old.Dispatcher != nil && s.old.Locked
	if s.bound {
		warning, was = nativeBound(s.iface.Name), s.old.Dispatcher != nil && s.old.Config.DeviceBound
	}
	switch {
	case c.NativeCompatible:
		return warning
	case !was && !c.warned && c.Warn != nil:
		c.warned = true // a lost race starts over
		c.Warn(warning)
	}
	return nil
}

// chooseVersion finds out the version of the chain to be.
func (c *commit) chooseVersion(s *swap) error {
	if s.version = c.Version; s.old.Dispatcher == nil {
		if c.Version != 0 && len(s.slots) == 0 {
			return noChain(s.iface)
		}
		return nil
	}
	was := s.old.Config.Version
	if s.version == 0 {
		s.version = was
	}
	if s.needed = s.needed || s.version != was; !s.needed || len(s.slots) == 0 {
		return nil
	}
	after := newChain(s.iface, s.old.Dispatcher)
	after.Version = s.version
	return after.Writable()
}

func noChain(l device.Device) error {
	return &xdp.Error{Kind: xdp.ErrNoProgram, Msg: "no chain on " + l.Name, Remedy: "the first program that is loaded makes one"}
}

// committed is the result of a swap that was made. It can't fail: nothing may undo the swap
// any more.
func (c *commit) committed(s *swap) *Committed {
	done := &Committed{Chain: s.chain(), Changed: true}
	for _, o := range c.adds {
		done.Added = append(done.Added, s.component(o))
	}
	for i, o := range c.replaces {
		done.Replaced = append(done.Replaced, Replaced{Old: c.Replace[i].ID, New: s.component(o), KeptMaps: o.KeptMaps, NewMaps: o.NewMaps})
	}
	done.Adopted = c.adoption(s)
	return done
}
