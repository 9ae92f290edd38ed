package dispatcher

import (
	"context"
	"slices"

	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Assembled is a chain that is on no interface. Nothing but this process holds it.
type Assembled struct {
	Chain *Chain // its Interface is the zero value
	Order []int  // for each program of the chain its index in the call

	assembly *assembly
	programs []*object.Program
}

// AssembleOptions says how a chain is put together.
type AssembleOptions struct {
	Version int  // of the dispatcher; 0, or one that xdpmux doesn't write: that of a new chain
	AsGiven bool // the programs run in the order of the call; else in that of [Attach]
}

// Assemble loads programs into a chain that it attaches nowhere, so that the chain can be
// test-run (BPF_PROG_TEST_RUN of its Dispatcher). It pins no map, whatever PinPath says.
//
// Errors: those of [Attach], as far as they aren't about an interface, and
// [xdp.ErrModeNotSupported] for a program that asks for metadata: the kernel test-runs none that
// is bound to a device.
func Assemble(ctx context.Context, programs []xdp.Program, opts AssembleOptions) (_ *Assembled, err error) {
	if len(programs) == 0 || len(programs) > xdp.MaxPrograms {
		return nil, &xdp.Error{Kind: xdp.ErrInvalid, Msg: "a chain has one program to ten"}
	}
	programs = slices.Clone(programs)
	for i := range programs {
		programs[i].PinPath = ""
	}
	a := &Assembled{}
	if a.programs, err = object.OpenAll(ctx, programs); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	var slots []slot
	for _, o := range a.programs {
		if len(o.Metadata) > 0 {
			return nil, o.NoTestRun()
		}
		slots = append(slots, newSlot(o))
	}
	if !opts.AsGiven {
		slots = sorted(slots)
	}
	if !protocol.Writes(opts.Version) {
		opts.Version = 0
	}
	if a.assembly, err = assemble(slots, blueprint{version: opts.Version, host: &protocol.HostDispatcher{}}); err != nil {
		return nil, err
	}
	a.Chain = &Chain{Dispatcher: &a.assembly.Loaded, Version: a.assembly.Config.Version, Frags: a.assembly.Config.Frags}
	for i := range slots {
		if slots[i].Program, err = loaded.ByFD(slots[i].progFD()); err != nil {
			return nil, err
		}
		a.Chain.Programs = append(a.Chain.Programs, componentOf(slots[i].Slot))
		a.Order = append(a.Order, slices.Index(a.programs, slots[i].comes))
	}
	return a, nil
}

// Close lets go of the chain. It is idempotent.
func (a *Assembled) Close() error {
	if a.assembly != nil {
		a.assembly.close()
	}
	object.CloseAll(a.programs)
	a.assembly, a.programs = nil, nil
	return nil
}
