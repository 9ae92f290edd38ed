package agent

import (
	"context"
	"errors"
	"slices"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
)

// deleted removes what an interface has left when the kernel deleted it. heard is the program that
// it had then, as far as the kernel has told: it tells little of an interface that is down. One that
// moves to another network namespace has its chain there.
func (a *agent) deleted(ctx context.Context, k *kept, heard uint32) {
	for _, attached := range slices.Compact([]uint32{heard, k.attached}) {
		if attached == 0 {
			continue
		}
		programs, err := dispatcher.CleanDeleted(ctx, k.Index, attached)
		if err = errors.Join(err, desired.Forget(programs)); err != nil {
			a.count(err)
			a.warn("what a deleted interface has left stays until xdpmux cleans", err, "interface", k.Name)
		}
	}
}

// tidy removes the records of programs that are gone.
func (a *agent) tidy(ctx context.Context) {
	a.tidied = a.totals.Changes
	if err := desired.Tidy(ctx); err != nil && ctx.Err() == nil {
		a.count(err)
		a.warn("the records of programs that are gone stay", err)
	}
}
