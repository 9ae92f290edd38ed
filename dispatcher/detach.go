package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libxdp"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// DetachOptions says how programs are detached. The zero value is what [Detach] and
// [DetachAll] use.
type DetachOptions struct {
	// Warn, if there is one, is told what stays loaded all the same: what is pinned where the
	// caller can't see or change it, or is held by others.
	Warn func(error)
}

// Detach takes the program with that id away from the interface: out of the
// chain, which goes on without it, or the legacy or offloaded program itself.
// With the last program of a chain the dispatcher goes too. Out of a chain it is a
// [Transaction] that only removes; for other programs it stands for
// xdp_program__detach.
//
// Errors: [xdp.ErrNoInterface], [xdp.ErrNoProgram], [xdp.ErrLinkHeld], [xdp.ErrVersion],
// [xdp.ErrNoDispatcher], [xdp.ErrBusy], [xdp.ErrPermission].
func Detach(ctx context.Context, ifname string, id uint32) error {
	return DetachOptions{}.Detach(ctx, ifname, id)
}

// DetachAll takes everything away from the interface. For what isn't a chain it
// stands for xdp_multiprog__detach.
//
// Errors: [xdp.ErrNoInterface], [xdp.ErrNoProgram], [xdp.ErrLinkHeld], [xdp.ErrBusy],
// [xdp.ErrPermission].
func DetachAll(ctx context.Context, ifname string) error {
	return DetachOptions{}.DetachAll(ctx, ifname)
}

// Detach is the function of that name with options.
func (o DetachOptions) Detach(ctx context.Context, ifname string, id uint32) error {
	_, err := Transaction{Mode: xdp.ModeUnspecified, Remove: []uint32{id}, Warn: o.Warn}.Commit(ctx, ifname)
	if !notInChain(err) {
		return err
	}
	// A chain has been looked through. libxdp isn't asked to do that once more: up to
	// 1.4 it leaves descriptors open.
	if l, lookErr := device.ByName(ifname); lookErr == nil && errors.Is(err, xdp.ErrNoProgram) && l.ProgID != 0 && l.HwID == 0 {
		return err
	}
	return detach(ctx, ifname, func(l device.Device, mp *libxdp.Multiprog) error {
		prog, mode, err := find(l, mp, id)
		if err != nil {
			return err
		}
		return prog.Detach(l.Index, mode)
	})
}

// DetachAll is the function of that name with options.
func (o DetachOptions) DetachAll(ctx context.Context, ifname string) error {
	if err := o.detachChain(ctx, ifname); !notInChain(err) {
		return err
	}
	return detach(ctx, ifname, func(_ device.Device, mp *libxdp.Multiprog) error { return mp.Detach() })
}

// notInChain says that what was to be removed isn't in a chain.
func notInChain(err error) bool {
	return errors.Is(err, xdp.ErrNoProgram) || errors.Is(err, xdp.ErrLegacy)
}

// detachChain takes a whole chain away, of whatever version.
func (o DetachOptions) detachChain(ctx context.Context, ifname string) error {
	l, err := device.ByName(ifname)
	if err != nil {
		return err
	}
	return untilWon(ctx, l, func(l device.Device) error {
		old, err := readRunning(ctx, l)
		if err != nil {
			return err
		}
		s := &swap{link: l, mode: l.Mode, old: old}
		defer s.close()
		if old.state == nil || l.HwID != 0 {
			return nothingOn(l, nil) // that is a chain and no more
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.apply(ctx); err != nil {
			return err
		}
		finish(o.Warn, s)
		return nil
	})
}

func detach(ctx context.Context, ifname string, remove func(device.Device, *libxdp.Multiprog) error) error {
	l, err := device.ByName(ifname)
	if err != nil {
		return err
	}
	if !l.Attached {
		return nothingOn(l, nil)
	}
	if l.ProgID != 0 && checkLegacy(l) == nil { // libxdp removes the pins of what is a chain
		root, err := protocol.OpenPinRoot()
		root.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	said, err := byLibxdp(l, func() error {
		mp, err := libxdp.GetMultiprog(l.Index)
		if errors.Is(err, syscall.ENOENT) {
			return nothingOn(l, err)
		}
		if err != nil {
			return explainStatus(l, err)
		}
		defer mp.Close()
		return remove(l, mp)
	})
	return explainDetach(l, err, said)
}

func nothingOn(l device.Device, err error) error {
	return &xdp.Error{Kind: xdp.ErrNoProgram, Msg: "no XDP program loaded on " + l.Name, Err: err}
}

// find looks for the program with that id in every place an interface has.
func find(l device.Device, mp *libxdp.Multiprog, id uint32) (*libxdp.Program, libxdp.AttachMode, error) {
	var there []string
	match := func(p *libxdp.Program) bool {
		if p == nil {
			return false
		}
		there = append(there, fmt.Sprintf("%d (%s)", p.ID(), p.Name()))
		return p.ID() == id
	}
	for _, p := range mp.Programs() {
		if match(p) {
			return p, mp.AttachMode(), nil
		}
	}
	main := mp.MainProgram()
	if mp.IsLegacy() && match(main) {
		return main, mp.AttachMode(), nil
	}
	if hw := mp.HWProgram(); match(hw) {
		return hw, libxdp.ModeHW, nil
	}
	e := &xdp.Error{Kind: xdp.ErrNoProgram,
		Msg:    fmt.Sprintf("program %d is not loaded on %s", id, l.Name),
		Remedy: "loaded there: " + strings.Join(there, ", ")}
	if main != nil && main.ID() == id {
		e.Msg = fmt.Sprintf("program %d is the dispatcher of %s, not one of its programs", id, l.Name)
		e.Remedy = "to remove the whole chain: unload -a " + l.Name
	}
	return nil, 0, e
}
