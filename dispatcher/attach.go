package dispatcher

import (
	"context"
	"errors"
	"fmt"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// AttachOptions says how programs are attached.
type AttachOptions struct {
	// Mode is that of a new chain; the zero value is native. A chain that is there must have
	// it, unless it is [xdp.ModeUnspecified].
	Mode xdp.Mode

	// RequireDispatcher makes Attach fail with [xdp.ErrNoDispatcher] where it would attach a
	// single program without a dispatcher.
	RequireDispatcher bool

	// Adopt, NativeCompatible, Warn, BeforeSwap and Changing are those of a [Transaction].
	Adopt            func(xdp.Loaded) (xdp.Program, error)
	NativeCompatible bool
	Warn             func(error)
	BeforeSwap       func([]Coming) error
	Changing         func(*Changing) error
}

func (o AttachOptions) transaction(programs []xdp.Program) Transaction {
	return Transaction{Mode: o.Mode, Add: programs, Adopt: o.Adopt, NativeCompatible: o.NativeCompatible, Warn: o.Warn,
		BeforeSwap: o.BeforeSwap, Changing: o.Changing}
}

// Attachment is what Attach has done.
type Attachment struct {
	Interface xdp.Interface
	Programs  []Component // in the order of the call
	Adopted   *Replaced   // what was attached without a dispatcher; nil: nothing, or Adopt wasn't asked for

	// Fallback says why the program runs without a dispatcher, as a legacy program. It is
	// empty if the program is in a chain, or offloaded as was asked for.
	Fallback string
}

// Attach loads the programs and adds them to the interface's chain in one step:
// all of them, or none on an error, which then leaves no pin and no program
// behind. It is a [Transaction] that only adds; programs of equal priority run in
// the order of their names.
//
// Where the system can't run a dispatcher, or LIBXDP_SKIP_DISPATCHER=1 forbids it, a single
// program is attached without one, as libxdp does; see [Attachment.Fallback] and
// [AttachOptions.RequireDispatcher]. In hw mode there is no chain: a single program is
// offloaded to the device.
//
// The end of ctx ends all waiting, and nothing is attached then. Once the chain is being
// swapped, ctx is not looked at any more.
//
// Errors: [xdp.ErrInvalid], [xdp.ErrNoInterface], [xdp.ErrObject], [xdp.ErrVerifier],
// [xdp.ErrChainFull], [xdp.ErrModeMismatch], [xdp.ErrVersion], [xdp.ErrLegacy], [xdp.ErrLinkHeld],
// [xdp.ErrNoDispatcher], [xdp.ErrModeNotSupported], [xdp.ErrBusy], [xdp.ErrPermission].
func Attach(ctx context.Context, ifname string, programs []xdp.Program, opts AttachOptions) (*Attachment, error) {
	if err := checkCall(programs, opts); err != nil {
		return nil, err
	}
	if opts.Mode == xdp.ModeHW {
		return attachAlone(ctx, ifname, programs[0], opts, nil)
	}
	if len(programs) == 1 && privilege.Getenv(privilege.EnvSkipDispatcher) == "1" {
		skipped := protocol.NoDispatcher(privilege.EnvSkipDispatcher+" is set", nil)
		if opts.RequireDispatcher || opts.Adopt != nil {
			return nil, skipped
		}
		return attachAlone(ctx, ifname, programs[0], opts, skipped)
	}
	done, err := opts.transaction(programs).Commit(ctx, ifname)
	if errors.Is(err, xdp.ErrNoDispatcher) && len(programs) == 1 && !opts.RequireDispatcher && opts.Adopt == nil && nothingAttached(ifname) {
		return attachAlone(ctx, ifname, programs[0], opts, err)
	}
	if err != nil {
		return nil, err
	}
	return &Attachment{Interface: done.Chain.Interface, Programs: done.Added, Adopted: done.Adopted}, nil
}

// nothingAttached says whether an interface can take a program without a dispatcher.
func nothingAttached(ifname string) bool {
	l, err := device.ByName(ifname)
	return err == nil && l.ProgID == 0
}

// checkCall finds what is wrong with a call without looking at the system.
func checkCall(programs []xdp.Program, opts AttachOptions) error {
	switch {
	case len(programs) == 0 && opts.Adopt == nil:
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: "no program to load", Remedy: "name at least one object file"}
	case len(programs) > xdp.MaxPrograms:
		return &xdp.Error{Kind: xdp.ErrChainFull, Msg: fmt.Sprintf("%d programs in one call, and a chain takes %d", len(programs), xdp.MaxPrograms)}
	case opts.Mode == xdp.ModeHW && len(programs) > 1:
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: "several programs in hw mode, and a device takes only one", Remedy: "load one program, or use native or skb mode"}
	case opts.Mode == xdp.ModeHW && opts.RequireDispatcher:
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: "a dispatcher is required in hw mode, where there is none", Remedy: "use native or skb mode"}
	case opts.Mode == xdp.ModeHW && opts.Adopt != nil:
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: "a program is to be adopted in hw mode, where there is no chain", Remedy: "use native or skb mode"}
	}
	return nil
}
