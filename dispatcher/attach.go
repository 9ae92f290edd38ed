package dispatcher

import (
	"context"
	"errors"
	"fmt"

	"github.com/xdpmux/xdpmux/cgo/libxdp"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// AttachOptions says how programs are attached.
type AttachOptions struct {
	Mode xdp.Mode // the zero value is native

	// RequireDispatcher makes Attach fail with ErrNoDispatcher where libxdp would
	// fall back to a single program without a dispatcher.
	RequireDispatcher bool

	// NativeCompatible, Warn and BeforeSwap are those of a [Transaction].
	NativeCompatible bool
	Warn             func(error)
	BeforeSwap       func([]Coming) error
}

// Attachment is what Attach has done.
type Attachment struct {
	Interface xdp.Interface
	Programs  []Component // in the order of the call

	// Fallback says why the program runs without a dispatcher, as a legacy
	// program; empty: it is in a chain, as it should be.
	Fallback string
}

// Attach loads the programs and adds them to the interface's chain in one step:
// all of them, or none on an error, which then leaves no pin and no program
// behind. It is a [Transaction] that only adds; programs of equal priority run in
// the order of their names.
//
// Where the system can't run a dispatcher, a single program is attached without
// one, as libxdp does; see [Attachment.Fallback] and
// [AttachOptions.RequireDispatcher].
//
// ctx is looked at before the chain is touched; the swap itself is not
// interrupted.
//
// Errors: [xdp.ErrInvalid], [xdp.ErrNoInterface], [xdp.ErrObject], [xdp.ErrVerifier],
// [xdp.ErrChainFull], [xdp.ErrModeMismatch], [xdp.ErrVersion], [xdp.ErrLegacy], [xdp.ErrLinkHeld],
// [xdp.ErrNoDispatcher], [xdp.ErrModeNotSupported], [xdp.ErrBusy], [xdp.ErrPermission].
func Attach(ctx context.Context, ifname string, programs []xdp.Program, opts AttachOptions) (*Attachment, error) {
	if err := checkCall(programs, opts); err != nil {
		return nil, err
	}
	skip := len(programs) == 1 && privilege.Getenv(privilege.EnvSkipDispatcher) == "1"
	if skip && opts.RequireDispatcher {
		return nil, protocol.NoDispatcher(privilege.EnvSkipDispatcher+" is set", nil)
	}
	if skip || opts.Mode == xdp.ModeHW {
		return attachByLibxdp(ctx, ifname, programs, opts.Mode)
	}
	done, err := Transaction{Mode: opts.Mode, Add: programs, NativeCompatible: opts.NativeCompatible, Warn: opts.Warn, BeforeSwap: opts.BeforeSwap}.Commit(ctx, ifname)
	if errors.Is(err, xdp.ErrNoDispatcher) && !opts.RequireDispatcher && nothingAttached(ifname) {
		return attachByLibxdp(ctx, ifname, programs, opts.Mode)
	}
	if err != nil {
		return nil, err
	}
	return &Attachment{Interface: done.Chain.Interface, Programs: done.Added}, nil
}

// nothingAttached says whether an interface can take a program without a dispatcher.
func nothingAttached(ifname string) bool {
	l, err := device.ByName(ifname)
	return err == nil && l.ProgID == 0
}

// attachByLibxdp attaches a program without a dispatcher, to the interface or its
// device. It stands for xdp_program__attach_multi.
func attachByLibxdp(ctx context.Context, ifname string, programs []xdp.Program, mode xdp.Mode) (*Attachment, error) {
	l, err := device.ByName(ifname)
	if err != nil {
		return nil, err
	}
	all, err := object.OpenAll(ctx, programs)
	if err != nil {
		return nil, err
	}
	defer object.CloseAll(all)
	if mode, err = chooseMode(l, mode); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	progs := make([]*libxdp.Program, len(all))
	for i, o := range all {
		if err := o.CheckMaps(); err != nil {
			return nil, err
		}
		if progs[i], err = o.XdpProgram(); err != nil {
			return nil, err
		}
	}
	if err := protocol.WaitForPins(ctx); err != nil {
		return nil, err
	}
	said, err := byLibxdp(l, func() error { return libxdp.AttachMulti(progs, l.Index, libxdpMode(mode), 0) })
	if err != nil {
		for _, o := range all {
			o.Pins.Undo()
		}
		return nil, explainAttach(l, all, mode, err, said)
	}
	return attachment(l, all, mode, said)
}

// checkCall finds what is wrong with a call without looking at the system.
func checkCall(programs []xdp.Program, opts AttachOptions) error {
	switch {
	case len(programs) == 0:
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: "no program to load", Remedy: "name at least one object file"}
	case len(programs) > xdp.MaxPrograms:
		return &xdp.Error{Kind: xdp.ErrChainFull, Msg: fmt.Sprintf("%d programs in one call, and a chain takes %d", len(programs), xdp.MaxPrograms)}
	case opts.Mode == xdp.ModeHW && len(programs) > 1:
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: "several programs in hw mode, and a device takes only one", Remedy: "load one program, or use native or skb mode"}
	case opts.Mode == xdp.ModeHW && opts.RequireDispatcher:
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: "a dispatcher is required in hw mode, where there is none", Remedy: "use native or skb mode"}
	}
	return nil
}

// chooseMode compares the mode asked for with what is attached. The kernel would
// refuse a second mode, and libxdp take that for a lost race and try ten times.
func chooseMode(l device.Device, mode xdp.Mode) (xdp.Mode, error) {
	if !l.Attached || mode == xdp.ModeHW || l.Mode == xdp.ModeHW || l.Mode == xdp.ModeUnspecified {
		return mode, nil
	}
	if err := checkLegacy(l); err != nil {
		return mode, err
	}
	if mode != xdp.ModeUnspecified && mode != l.Mode {
		return mode, modeMismatch(l, mode)
	}
	return l.Mode, nil
}

// attachment reads what the programs became, and finds out whether libxdp fell
// back to a legacy program.
func attachment(l device.Device, all []*object.Program, mode xdp.Mode, said []string) (*Attachment, error) {
	result := &Attachment{Interface: l.Interface}
	for _, o := range all {
		result.Programs = append(result.Programs, Component{
			Loaded:   *loadedOf(o.Prog),
			Priority: o.Priority,
			Actions:  o.Actions,
			Frags:    o.Frags,
		})
	}
	if len(all) > 1 || mode == xdp.ModeHW {
		return result, nil
	}
	now, err := l.Again()
	if err == nil && now.ProgID == result.Programs[0].ID {
		result.Fallback = fallbackReason(all[0], said)
	} // else it is in a chain, or changed by somebody else since
	return result, nil
}

func loadedOf(p *libxdp.Program) *xdp.Loaded {
	return &xdp.Loaded{ID: p.ID(), Name: p.Name(), Tag: p.Tag().String()}
}

func libxdpMode(m xdp.Mode) libxdp.AttachMode {
	return [...]libxdp.AttachMode{libxdp.ModeNative, libxdp.ModeSKB, libxdp.ModeHW, libxdp.ModeUnspec}[m]
}
