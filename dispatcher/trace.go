package dispatcher

import (
	"context"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Trace is told of each change that is made to a chain with its context. It is to this package
// what httptrace.ClientTrace is to net/http. A function may be nil. They are called in the
// goroutine that makes the change.
type Trace struct {
	// Changing is called right before a chain is changed, with what is on the interface and
	// what is to be there. sources are what the programs that come are loaded from, by their
	// ids, with their Data. A program that is to be offloaded has no id yet. Where a lost race
	// is started over, Changing is called again.
	Changing func(before, after *Chain, sources map[uint32]xdp.Program)

	// Changed is called when the change is made. after is as it was for Changing, but for the
	// id of an offloaded program.
	Changed func(after *Chain)

	// TakenBack is called when the chain is again what it was before a change that was made,
	// as another change of the same call has failed.
	TakenBack func(xdp.Interface)
}

type traceKey struct{}

// WithTrace is a context with which all changes are told to t, and no longer to the trace that
// ctx had.
func WithTrace(ctx context.Context, t Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

func traceOf(ctx context.Context) Trace {
	t, _ := ctx.Value(traceKey{}).(Trace)
	if t.Changing == nil {
		t.Changing = func(_, _ *Chain, _ map[uint32]xdp.Program) {}
	}
	if t.Changed == nil {
		t.Changed = func(*Chain) {}
	}
	if t.TakenBack == nil {
		t.TakenBack = func(xdp.Interface) {}
	}
	return t
}
