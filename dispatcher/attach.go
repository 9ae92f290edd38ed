package dispatcher

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"

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
}

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
// behind. Programs of equal priority run in the order of their tags.
//
// Where the system can't run a dispatcher, a single program is attached without
// one, as libxdp does; see [Attachment.Fallback] and
// [AttachOptions.RequireDispatcher].
//
// ctx is looked at before the chain is touched; the change itself is not
// interrupted. It stands for xdp_program__attach_multi.
//
// Errors: [ErrInvalid], [ErrNoInterface], [ErrObject], [ErrVerifier],
// [ErrChainFull], [ErrModeMismatch], [ErrLegacy], [ErrNoDispatcher],
// [ErrModeNotSupported], [ErrBusy], [ErrPermission].
func Attach(ctx context.Context, ifname string, programs []Program, opts AttachOptions) (*Attachment, error) {
	if err := checkCall(programs, opts); err != nil {
		return nil, err
	}
	l, err := linkByName(ifname)
	if err != nil {
		return nil, err
	}
	all, err := openAll(programs)
	if err != nil {
		return nil, err
	}
	defer closeAll(all)
	if opts.Mode, err = chooseMode(l, opts.Mode); err != nil {
		return nil, err
	}
	if opts.RequireDispatcher {
		if err := checkDispatcher(all); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	progs := make([]*libxdp.Program, len(all))
	for i, o := range all {
		progs[i] = o.prog
	}
	said, err := recorded(func() error { return libxdp.AttachMulti(progs, l.Index, opts.Mode.libxdp()) })
	if err != nil {
		for _, o := range all {
			o.pins.undo()
		}
		return nil, explainAttach(l, all, opts.Mode, err, said)
	}
	return attachment(l.Interface, all, opts, said)
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
func attachment(iface Interface, all []*opened, opts AttachOptions, said []string) (*Attachment, error) {
	result := &Attachment{Interface: iface}
	for _, o := range all {
		result.Programs = append(result.Programs, Component{
			Loaded:   *loadedOf(o.prog),
			Priority: o.prog.RunPrio(),
			Actions:  actionsOf(o.prog),
		})
	}
	if len(all) > 1 || opts.Mode == ModeHW {
		return result, nil
	}
	l, err := netlink.LinkByIndex(iface.Index)
	if err != nil || newLink(l).progID != result.Programs[0].ID {
		// In a chain, or changed by somebody else since.
		return result, nil
	}
	reason := fallbackReason(all[0], said)
	if !opts.RequireDispatcher {
		result.Fallback = reason
		return result, nil
	}
	// checkDispatcher found nothing, and still libxdp fell back.
	_, err = recorded(func() error { return all[0].prog.Detach(iface.Index, opts.Mode.libxdp()) })
	all[0].pins.undo()
	return nil, errors.Join(noDispatcher(reason, nil), err)
}

func loadedOf(p *libxdp.Program) *Loaded {
	return &Loaded{ID: p.ID(), Name: p.Name(), Tag: p.Tag().String()}
}

func actionsOf(p *libxdp.Program) Actions {
	var a Actions
	for v := range numVerdicts {
		if p.ChainCallEnabled(uint32(v)) {
			a |= 1 << v
		}
	}
	return a
}
