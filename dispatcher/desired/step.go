package desired

import (
	"slices"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Action is what a step does with a program.
type Action string

// The actions.
const (
	Add     Action = "add"     // load it and put it into the chain
	Remove  Action = "remove"  // take it out of the chain
	Replace Action = "replace" // load it anew, in the place of the one that runs
	Move    Action = "move"    // change its run priority
	Change  Action = "change"  // change its chain call actions or its frags
	Adopt   Action = "adopt"   // take a program for the state's that runs as it should, and that Apply has not put there
	Pin     Action = "pin"     // pin its maps again; somebody has removed their pins
)

// Step is one difference between what should run and what does.
type Step struct {
	Action Action     `json:"action"`
	Name   string     `json:"name"`             // in the file; if the file doesn't know the program, its function's name
	ID     uint32     `json:"id,omitempty"`     // of the program that runs now; 0 if none does
	Object string     `json:"file,omitempty"`   // the object file that is loaded
	From   *Place     `json:"from,omitempty"`   // where the program runs now
	To     *Place     `json:"to,omitempty"`     // and where it will
	Reason string     `json:"reason,omitempty"` // why; empty if From and To tell
	Binds  bool       `json:"binds,omitempty"`  // it binds the chain to its device, as the program asks for metadata
	want   *wanted    // nil if the program is to be removed
	there  xdp.Loaded // the program that runs now
	alone  bool       // not one of a chain: a legacy or an offloaded program
	joins  bool       // of Adopt: a legacy program is loaded anew, as one of the chain
}

// loads says whether a program is loaded for the step.
func (s Step) loads() bool { return s.Action == Add || s.Action == Replace || s.joins }

// swaps says whether steps change the chain.
func swaps(steps []Step) bool {
	return slices.ContainsFunc(steps, func(s Step) bool {
		return s.joins || s.Action != Adopt && s.Action != Pin && !s.alone
	})
}

// takesLone says whether a step takes the program that has no dispatcher into the chain, or
// replaces it.
func takesLone(chain *dispatcher.Chain, steps []Step) bool {
	return chain.Legacy != nil && slices.ContainsFunc(steps, func(s Step) bool { return s.ID == chain.Legacy.ID && s.loads() })
}

// programsAfter is how many programs the chain has when the steps are done.
func programsAfter(chain *dispatcher.Chain, steps []Step) int {
	n := len(chain.Programs)
	if takesLone(chain, steps) {
		n++
	}
	for _, s := range steps {
		switch s.Action {
		case Add:
			n++
		case Remove:
			if !s.alone {
				n--
			}
		}
	}
	return n
}

// transaction is what does the steps in one swap.
func transaction(mode xdp.Mode, steps []Step) dispatcher.Transaction {
	t := dispatcher.Transaction{Mode: mode}
	for _, s := range steps {
		switch s.Action {
		case Add:
			t.Add = append(t.Add, s.want.load())
		case Remove:
			if !s.alone {
				t.Remove = append(t.Remove, s.ID)
			}
		case Adopt:
			if s.joins {
				t.Adopt = func(xdp.Loaded) (xdp.Program, error) { return s.want.load(), nil }
			}
		case Replace:
			t.Replace = append(t.Replace, dispatcher.Replacement{ID: s.ID, Program: s.want.load()})
		case Move, Change: // a program that is moved and changed has two steps
			set := dispatcher.Setting{ID: s.ID, Priority: &s.want.place.Priority, Actions: &s.want.place.Actions, Frags: &s.want.place.Frags}
			if n := len(t.Set); n == 0 || t.Set[n-1].ID != s.ID {
				t.Set = append(t.Set, set)
			}
		}
	}
	return t
}
