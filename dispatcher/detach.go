package dispatcher

import (
	"context"
	"errors"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// DetachOptions says how programs are detached.
type DetachOptions struct {
	// Warn, if there is one, is told what stays loaded all the same: what is pinned where
	// the caller can't see or change it, or what others hold.
	Warn func(error)

	// Changing is that of a [Transaction].
	Changing func(*Changing) error
}

// Detach takes the program with that id away from the interface: out of the chain, which
// goes on without it, or the legacy or offloaded program itself. With the last program of a
// chain the dispatcher goes too. For a chain it is a [Transaction] that only removes; for
// other programs it stands for xdp_program__detach.
//
// Errors: [xdp.ErrNoInterface], [xdp.ErrNoProgram], [xdp.ErrLinkHeld], [xdp.ErrVersion],
// [xdp.ErrNoDispatcher], [xdp.ErrBusy], [xdp.ErrPermission].
func Detach(ctx context.Context, ifname string, id uint32, opts DetachOptions) error {
	_, err := Transaction{Mode: xdp.ModeUnspecified, Remove: []uint32{id}, Warn: opts.Warn, Changing: opts.Changing}.Commit(ctx, ifname)
	if !notInChain(err) {
		return err
	}
	legacy := errors.Is(err, xdp.ErrLegacy)
	l, lookErr := device.ByName(ifname)
	switch {
	case lookErr != nil:
		return lookErr
	case !l.Attached:
		return nothingOn(l)
	case id != 0 && (legacy && id == l.ProgID || id == l.HwID):
		return detachAlone(ctx, l, id, opts.Changing)
	case legacy || l.ProgID == 0:
		return noSuchProgram(l, id, alone(l)...)
	}
	return err
}

// notInChain says that what was to be removed isn't in a chain.
func notInChain(err error) bool {
	return errors.Is(err, xdp.ErrNoProgram) || errors.Is(err, xdp.ErrLegacy)
}

// DetachAll takes everything away from the interface: the chain of whatever version, or the
// legacy program, and then the offloaded one. It stands for xdp_multiprog__detach.
//
// Errors: [xdp.ErrNoInterface], [xdp.ErrNoProgram], [xdp.ErrLinkHeld], [xdp.ErrBusy],
// [xdp.ErrPermission].
func DetachAll(ctx context.Context, ifname string, opts DetachOptions) error {
	l, err := device.ByName(ifname)
	if err != nil {
		return err
	}
	if !l.Attached {
		return nothingOn(l)
	}
	if l.HwID != 0 {
		if err := changingHardware(l, opts.Changing); err != nil {
			return err
		}
	}
	if l.ProgID != 0 {
		if err := untilWon(ctx, l, func(l device.Device) error { return detachMain(ctx, l, opts) }); err != nil {
			return err
		}
	}
	if l.HwID != 0 {
		return detachAlone(ctx, l, l.HwID, opts.Changing)
	}
	return nil
}

// detachMain takes a whole chain away, of whatever version, or a legacy program.
func detachMain(ctx context.Context, l device.Device, opts DetachOptions) error {
	old, err := openChainOn(ctx, l)
	if errors.Is(err, xdp.ErrLegacy) {
		return detachAlone(ctx, l, l.ProgID, opts.Changing)
	}
	if err != nil {
		return err
	}
	s := &swap{iface: l, mode: l.Mode, old: old}
	defer s.close()
	if old.Dispatcher == nil {
		return nothingOn(l)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := changing(opts.Changing, s); err != nil {
		return err
	}
	if err := s.apply(ctx); err != nil {
		return err
	}
	finish(unfinished{s, opts.Warn})
	return nil
}

func nothingOn(l device.Device) error {
	return &xdp.Error{Kind: xdp.ErrNoProgram, Msg: "no XDP program loaded on " + l.Name}
}
