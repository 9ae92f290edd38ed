package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// revertAll takes swaps back after err, the last one first. It returns err with what couldn't
// be taken back. The old chain can't be put back if others have changed the chain since, or
// if its pins are out of reach. Then the programs that came are removed from what is there.
func (c *commit) revertAll(ctx context.Context, swaps []*swap, err error) error {
	ctx = context.WithoutCancel(ctx)
	var back []*swap
	for _, s := range slices.Backward(swaps) {
		failed := s.revert(ctx)
		switch {
		case failed == nil:
			back = append(back, s)
			if s.unclear {
				err = s.unanswered(err)
			}
		case !errors.Is(failed, errUnclear) && !errors.Is(failed, xdp.ErrNoInterface):
			finish(unfinished{swap: s})
			if c.removeFrom(ctx, s) == nil {
				failed = nil
			}
		}
		if failed == nil {
			continue
		}
		if errors.Is(err, errLostRace) { // which isn't to be started over now
			err = &xdp.Error{Kind: xdp.ErrBusy, Msg: "a chain was changed by others meanwhile", Remedy: "try again"}
		}
		err = errors.Join(err, c.notTakenBack(s, failed))
	}
	if len(back) > 0 {
		loaded.WaitForPackets()
	}
	for _, s := range back {
		if failed := unpin(s.iface.Index, s.next.ID, s.coming()); failed != nil {
			err = errors.Join(err, pinsLeft(s.iface, protocol.PinDir(s.iface.Index, s.next.ID), failed))
		}
	}
	return err
}

// revert puts the old dispatcher back after apply and before finish. The caller waits for
// the packets that are in the new one before its pins go.
func (s *swap) revert(ctx context.Context) error {
	err := s.putBack(ctx, s.next.main.FD(), s.iface.ProgID)
	if err == nil {
		traceOf(ctx).TakenBack(s.iface.Interface)
	}
	return err
}

// putBack puts the old dispatcher or lone program, which has the id was, in the place of the
// program with the descriptor now. If there was none, it takes that program off.
func (s *swap) putBack(ctx context.Context, now int, was uint32) error {
	root, err := protocol.LockPins(ctx)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // without pins there is nothing to lock
		return err
	}
	defer root.Close()
	// The old dispatcher has its programs by their links, and once this process has ended,
	// only pins keep the links. We hold the lock, so nobody takes these pins for leftovers
	// before the dispatcher is in its place.
	if s.old.Dispatcher != nil {
		if err == nil {
			err = s.old.pinAgain(root, protocol.PinName(s.iface.Index, s.old.ID))
		}
		if err == nil {
			err = root.PinOwn(s.iface.Index, s.old.Dispatcher, s.old.main.Int(), s.old.Map.Int())
		}
		if err != nil {
			return protocol.ExplainPins(fmt.Errorf("pin the chain that was there below %s: %w", protocol.PinDir(s.iface.Index, s.old.ID), err))
		}
	}
	return s.explained(func() error {
		err := s.outcome(was, attachXDP(s.iface.Index, s.old.main.Int(), now, s.mode))
		if err == nil && now == noProgram {
			err = takenForAnother(s.iface, s.old.main.Int(), s.mode)
		}
		return err
	})
}

// pinAgain pins the chain where it was pinned, unless it still is.
func (r *openChain) pinAgain(root *protocol.PinRoot, name string) error {
	if r.arePinned() {
		return nil
	}
	if err := root.Create(name); err != nil {
		return err
	}
	for i, h := range r.Slots {
		if h.LinkPinned {
			if err := libbpf.ObjPin(h.Link.Int(), protocol.LinkPin(r.Pins, i)); err != nil {
				return err
			}
		}
		if h.ProgPinned {
			if err := libbpf.ObjPin(h.Prog.Int(), protocol.ProgPin(r.Pins, i)); err != nil {
				return err
			}
		}
	}
	if !r.arePinned() {
		return errors.New("something else is pinned there")
	}
	return nil
}

// arePinned says whether all is pinned that was.
func (r *openChain) arePinned() bool {
	for i, h := range r.Slots {
		if h.LinkPinned && !isPinned(protocol.LinkPin(r.Pins, i), h.Link, loaded.LinkID) ||
			h.ProgPinned && !isPinned(protocol.ProgPin(r.Pins, i), h.Prog, loaded.ProgID) {
			return false
		}
	}
	return true
}

// isPinned says whether that is pinned at path which fd stands for.
func isPinned(path string, fd *libbpf.FD, id func(fd int) (uint32, error)) bool {
	there, err := libbpf.ObjGet(path)
	if err != nil {
		return false
	}
	defer there.Close()
	a, errA := id(there.Int())
	b, errB := id(fd.Int())
	return errA == nil && errB == nil && a == b
}

// removeFrom removes the programs that came from the chain as it is now.
func (c *commit) removeFrom(ctx context.Context, s *swap) error {
	_, err := Transaction{Mode: xdp.ModeUnspecified, Remove: c.added(s)}.Commit(ctx, s.iface.Name)
	if errors.Is(err, xdp.ErrNoProgram) {
		return nil
	}
	return err
}

// added are the ids of the programs that a swap adds.
func (c *commit) added(s *swap) (ids []uint32) {
	for _, o := range c.adds {
		ids = append(ids, s.component(o).ID)
	}
	return ids
}

// notTakenBack says what an interface is left with.
func (c *commit) notTakenBack(s *swap, err error) error {
	if errors.Is(err, xdp.ErrNoInterface) || errors.Is(err, errUnclear) {
		return err
	}
	var ids []string
	for _, id := range c.added(s) {
		ids = append(ids, fmt.Sprint(id))
	}
	return (&xdp.Error{Kind: xdp.ErrSystem, Err: err,
		Msg: fmt.Sprintf("on %s it could not be taken back, and program %s stays there: %v", s.iface.Name, strings.Join(ids, ", "), err)}).
		Advise("to remove one: %v", xdp.Hint{To: xdp.HintDetach, Interface: s.iface.Name})
}

// unanswered is the error of a swap that the kernel gave no answer to, now that the swap has
// been taken back for certain.
func (s *swap) unanswered(err error) error {
	return &xdp.Error{Kind: xdp.ErrSystem, Err: errors.Unwrap(err),
		Msg:    fmt.Sprintf("the kernel gave no answer when the chain on %s was to be changed, so it was left as it was", s.iface.Name),
		Remedy: "try again"}
}
