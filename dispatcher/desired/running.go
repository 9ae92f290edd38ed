package desired

import (
	"context"
	"fmt"
	"slices"

	"github.com/xdpmux/xdpmux/dispatcher"
)

// running is a program that runs.
type running struct {
	dispatcher.Component
	ifindex int     // of the interface
	record  *record // nil: nobody knows what it was made from
	lone    bool    // it has no dispatcher, so it has no place in a chain yet

	unpinned []string // its maps that have lost their pin
	otherPin string   // one whose pin is another map's by now; empty: none
}

// runningOn is the chain of an interface, each program with its record.
func runningOn(ctx context.Context, r records, ifname string) (*dispatcher.Chain, []*running, error) {
	chain, err := dispatcher.Status(ctx, ifname)
	if err != nil {
		return nil, nil, err
	}
	var runs []*running
	for _, c := range chain.Programs {
		if c.ID == 0 {
			continue // gone
		}
		rec, err := r.read(c.ID, c.Tag)
		if err != nil {
			return nil, nil, fmt.Errorf("the record of program %d: %w", c.ID, err)
		}
		runs = append(runs, &running{Component: c, ifindex: chain.Interface.Index, record: rec})
	}
	return chain, runs, nil
}

// loneOn is the program of an interface that has no dispatcher; nil: there is none.
func loneOn(r records, chain *dispatcher.Chain) (*running, error) {
	if chain.Legacy == nil {
		return nil, nil
	}
	rec, err := r.read(chain.Legacy.ID, chain.Legacy.Tag)
	if err != nil {
		return nil, fmt.Errorf("the record of program %d: %w", chain.Legacy.ID, err)
	}
	return &running{Component: dispatcher.Component{Loaded: *chain.Legacy}, ifindex: chain.Interface.Index, record: rec, lone: true}, nil
}

func (r *running) place() Place {
	return Place{Priority: r.Priority, Actions: r.Actions, Frags: r.Frags}
}

// applied says whether a state wanted the program on this interface. Then it goes when no
// state wants it any more.
func (r *running) applied() bool {
	return r.record != nil && slices.Contains(r.record.Applied, r.ifindex)
}

// name is what people know the program by.
func (r *running) name() string {
	if r.applied() {
		return r.record.Program.Name
	}
	return r.Name
}
