package main

import (
	"context"

	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/history"
	"github.com/xdpmux/xdpmux/dispatcher/pending"
)

// record keeps what programs are loaded from, right before the chain is changed, so that
// export can say it. A chain that can't be recorded is changed all the same.
func record(out *output.Printer) func([]dispatcher.Coming) error {
	return func(coming []dispatcher.Coming) error {
		if err := desired.Record(coming); err != nil {
			out.Warn("export will not know what is loaded now: %v", err)
		}
		return nil
	}
}

// recorded calls change, which changes the chains of these interfaces with the context that it
// gets. The history gets a record of each.
func recorded(ctx context.Context, out *output.Printer, change func(context.Context) error, ifnames ...string) error {
	r := history.NewRecorder(history.Options{Warn: out.WarnOf})
	err := change(r.Context(ctx))
	r.End(err, ifnames...)
	return err
}

// recordedEnd calls end, which may take a change back. The history gets a record of that, as of
// any change.
func recordedEnd(ctx context.Context, out *output.Printer, end func(context.Context) (pending.Outcome, error)) (pending.Outcome, error) {
	r := history.NewRecorder(history.Options{Warn: out.WarnOf})
	outcome, err := end(r.Context(ctx))
	tookBack(r, outcome)
	return outcome, err
}

func tookBack(r *history.Recorder, o pending.Outcome) {
	r.TookBack(o.Why, o.BackNames()...)
}
