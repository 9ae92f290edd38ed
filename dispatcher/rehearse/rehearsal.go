package rehearse

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Change is a change to a chain.
type Change struct {
	dispatcher.Transaction

	// Empty takes everything off the interface, a legacy program too, as
	// [dispatcher.DetachAll] does. The Transaction has to be empty.
	Empty bool

	// LoadedFrom says of programs that run, by their ids, what they may have been loaded
	// from, for those that no record tells of.
	LoadedFrom map[uint32]xdp.Program
}

// Rehearsal is a chain and what a change would make of it. It is for one goroutine at a time.
type Rehearsal struct {
	Interface xdp.Interface
	Changed   bool      // false: the chain is so already, and Run refuses packets
	CPU       int       // on which all packets run
	Before    []Program // in the order they run
	After     []Program
	Limits    []Limit // what the test runs can't show

	thread        *oneCPU
	before, after *side
}

// Program is a program of a rehearsed chain.
type Program struct {
	xdp.Loaded             // as it runs; ID 0 of one that would be loaded
	File       string      `json:"file"` // the object that it was copied from
	Priority   uint32      `json:"priority"`
	Actions    xdp.Actions `json:"actions"` // chain call actions
}

// Outcome is what became of a packet.
type Outcome struct {
	Before, After *observe.Trace

	// Bytes says that the two chains let out different bytes, or a different length. It is
	// false if one of them lets nothing out.
	Bytes bool
}

// Differs says whether the change makes a difference to the packet: its verdict or its bytes.
// Which program decides makes none.
func (o Outcome) Differs() bool { return o.Before.Verdict != o.After.Verdict || o.Bytes }

// Open prepares to send packets through both chains. Until Close the calling goroutine is
// locked to its thread, which stays on one CPU, and it alone may use the Rehearsal.
//
// Errors: those of [dispatcher.Transaction.Preview] and [dispatcher.Assemble];
// [xdp.ErrObject] if it isn't known what a program was loaded from, or its file has changed;
// [xdp.ErrModeNotSupported] for an offloaded or a device-bound chain, whose programs can't be
// test-run.
func Open(ctx context.Context, ifname string, change Change) (_ *Rehearsal, err error) {
	chain, err := dispatcher.Status(ctx, ifname)
	if err != nil {
		return nil, err
	}
	if err := chain.CheckTestRun(); err != nil {
		return nil, err
	}
	preview, err := change.preview(ctx, chain)
	if err != nil {
		return nil, err
	}
	r := &Rehearsal{Interface: chain.Interface, Changed: preview.Changed}
	if !r.Changed {
		return r, nil
	}
	before, err := change.sourcesOf(ctx, chain)
	if err != nil {
		return nil, err
	}
	after, err := change.sourcesAfter(preview, before)
	if err != nil {
		return nil, err
	}
	if r.thread, err = onOneCPU(); err != nil {
		return nil, err
	}
	r.CPU = r.thread.cpu
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if r.before, err = newSide(ctx, chain, before, nil); err != nil {
		return nil, err
	}
	if r.after, err = newSide(ctx, chain, after, r.before); err != nil {
		return nil, err
	}
	r.Before, r.After = r.before.programs, r.after.programs
	r.Limits = limitsOf(r.before, r.after)
	return r, nil
}

// preview is the chain as the change would make it.
func (c Change) preview(ctx context.Context, chain *dispatcher.Chain) (*dispatcher.Preview, error) {
	if c.Empty {
		return dispatcher.PreviewDetachAll(ctx, chain.Interface.Name)
	}
	if chain.Legacy != nil && slices.Equal(c.Remove, []uint32{chain.Legacy.ID}) {
		return dispatcher.PreviewDetach(ctx, chain.Interface.Name, chain.Legacy.ID)
	}
	return c.Transaction.Preview(ctx, chain.Interface.Name)
}

// MaxLen is the longest packet that both chains take, in bytes; the shortest has
// [observe.MinLen]. It is 0 if Run refuses all packets.
func (r *Rehearsal) MaxLen() int {
	if r.before == nil {
		return 0
	}
	return min(r.before.maxLen(), r.after.maxLen())
}

// Run sends a packet through both chains. What it returns is good until the next call. Errors
// are those of [observe.Replay.Run], and [xdp.ErrInvalid] if nothing has changed or the
// Rehearsal is closed.
func (r *Rehearsal) Run(packet []byte) (o Outcome, err error) {
	if r.before == nil {
		return o, &xdp.Error{Kind: xdp.ErrInvalid, Msg: "no packet runs in a rehearsal that changes nothing, or is closed"}
	}
	if o.Before, err = r.before.run(packet); err != nil {
		return o, err
	}
	if o.After, err = r.after.run(packet); err != nil {
		return o, err
	}
	o.Bytes = leaves(o.Before.Verdict) && leaves(o.After.Verdict) && !bytes.Equal(o.Before.Data, o.After.Data)
	return o, nil
}

// leaves says whether a packet with that verdict goes on, to the stack or onto the wire.
func leaves(v xdp.Verdict) bool { return v == xdp.Pass || v == xdp.TX || v == xdp.Redirect }

// Close lets go of the copies. It is idempotent.
func (r *Rehearsal) Close() error {
	err := errors.Join(r.after.close(), r.before.close(), r.thread.close())
	r.before, r.after, r.thread = nil, nil, nil
	return err
}
