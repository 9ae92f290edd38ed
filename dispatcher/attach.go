package dispatcher

import (
	"context"
	"errors"
	"fmt"

	"github.com/xdpmux/xdpmux/cgo/libxdp"
)

// MaxPrograms is how many component programs a dispatcher takes.
const MaxPrograms = 10

// AttachOptions says how programs are attached.
type AttachOptions struct {
	Mode Mode // the zero value is native

	// RequireDispatcher makes Attach fail with ErrNoDispatcher where libxdp would
	// fall back to a single program without a dispatcher.
	RequireDispatcher bool

	// NativeCompatible, Warn and BeforeSwap are those of a [Transaction].
	NativeCompatible bool
	Warn             func(error)
	BeforeSwap       func([]Coming) error

	// Progress, if there is one, is told by AttachAll before each step on the interface
	// with that index in the call. A lost race starts over from the first.
	Progress func(step Step, i int)
}

// Step is what AttachAll does to each interface.
type Step string

// The steps: all interfaces are prepared before the first gets its new chain.
const (
	StepPrepare Step = "prepare"
	StepSwap    Step = "swap"
)

// Attachment is what Attach has done.
type Attachment struct {
	Interface Interface
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
// Errors: [ErrInvalid], [ErrNoInterface], [ErrObject], [ErrVerifier],
// [ErrChainFull], [ErrModeMismatch], [ErrVersion], [ErrLegacy], [ErrLinkHeld],
// [ErrNoDispatcher], [ErrModeNotSupported], [ErrBusy], [ErrPermission].
func Attach(ctx context.Context, ifname string, programs []Program, opts AttachOptions) (*Attachment, error) {
	if err := checkCall(programs, opts); err != nil {
		return nil, err
	}
	skip := len(programs) == 1 && getenv(envSkipDispatcher) == "1"
	if skip && opts.RequireDispatcher {
		return nil, noDispatcher(envSkipDispatcher+" is set", nil)
	}
	if skip || opts.Mode == ModeHW {
		return attachByLibxdp(ctx, ifname, programs, opts.Mode)
	}
	done, err := Transaction{Mode: opts.Mode, Add: programs, NativeCompatible: opts.NativeCompatible, Warn: opts.Warn, BeforeSwap: opts.BeforeSwap}.Commit(ctx, ifname)
	if errors.Is(err, ErrNoDispatcher) && !opts.RequireDispatcher && nothingAttached(ifname) {
		return attachByLibxdp(ctx, ifname, programs, opts.Mode)
	}
	if err != nil {
		return nil, err
	}
	return &Attachment{Interface: done.Chain.Interface, Programs: done.Added}, nil
}

// nothingAttached says whether an interface can take a program without a dispatcher.
func nothingAttached(ifname string) bool {
	l, err := linkByName(ifname)
	return err == nil && l.progID == 0
}

// attachByLibxdp attaches a program without a dispatcher, to the interface or its
// device. It stands for xdp_program__attach_multi.
func attachByLibxdp(ctx context.Context, ifname string, programs []Program, mode Mode) (*Attachment, error) {
	l, err := linkByName(ifname)
	if err != nil {
		return nil, err
	}
	all, err := openAll(ctx, programs)
	if err != nil {
		return nil, err
	}
	defer closeAll(all)
	if mode, err = chooseMode(l, mode); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	progs := make([]*libxdp.Program, len(all))
	for i, o := range all {
		if err := o.checkMaps(); err != nil {
			return nil, err
		}
		if progs[i], err = o.xdpProgram(); err != nil {
			return nil, err
		}
	}
	if err := waitForPins(ctx); err != nil {
		return nil, err
	}
	said, err := byLibxdp(l, func() error { return libxdp.AttachMulti(progs, l.Index, libxdpMode(mode), 0) })
	if err != nil {
		for _, o := range all {
			o.pins.undo()
		}
		return nil, explainAttach(l, all, mode, err, said)
	}
	return attachment(l, all, mode, said)
}

// checkCall finds what is wrong with a call without looking at the system.
func checkCall(programs []Program, opts AttachOptions) error {
	switch {
	case len(programs) == 0:
		return &Error{Kind: ErrInvalid, Msg: "no program to load", Remedy: "name at least one object file"}
	case len(programs) > MaxPrograms:
		return &Error{Kind: ErrChainFull, Msg: fmt.Sprintf("%d programs in one call, and a chain takes %d", len(programs), MaxPrograms)}
	case opts.Mode == ModeHW && len(programs) > 1:
		return &Error{Kind: ErrInvalid, Msg: "several programs in hw mode, and a device takes only one", Remedy: "load one program, or use native or skb mode"}
	case opts.Mode == ModeHW && opts.RequireDispatcher:
		return &Error{Kind: ErrInvalid, Msg: "a dispatcher is required in hw mode, where there is none", Remedy: "use native or skb mode"}
	}
	return nil
}

// chooseMode compares the mode asked for with what is attached. The kernel would
// refuse a second mode, and libxdp take that for a lost race and try ten times.
func chooseMode(l link, mode Mode) (Mode, error) {
	if !l.attached || mode == ModeHW || l.mode == ModeHW || l.mode == ModeUnspecified {
		return mode, nil
	}
	if err := checkLegacy(l); err != nil {
		return mode, err
	}
	if mode != ModeUnspecified && mode != l.mode {
		return mode, modeMismatch(l, mode)
	}
	return l.mode, nil
}

// attachment reads what the programs became, and finds out whether libxdp fell
// back to a legacy program.
func attachment(l link, all []*opened, mode Mode, said []string) (*Attachment, error) {
	result := &Attachment{Interface: l.Interface}
	for _, o := range all {
		result.Programs = append(result.Programs, Component{
			Loaded:   *loadedOf(o.prog),
			Priority: o.priority,
			Actions:  o.actions,
			Frags:    o.frags,
		})
	}
	if len(all) > 1 || mode == ModeHW {
		return result, nil
	}
	now, err := l.again()
	if err == nil && now.progID == result.Programs[0].ID {
		result.Fallback = fallbackReason(all[0], said)
	} // else it is in a chain, or changed by somebody else since
	return result, nil
}

func loadedOf(p *libxdp.Program) *Loaded {
	return &Loaded{ID: p.ID(), Name: p.Name(), Tag: p.Tag().String()}
}
