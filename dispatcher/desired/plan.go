package desired

import (
	"fmt"
	"slices"

	"github.com/xdpmux/xdpmux/dispatcher"
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
)

// Step is one difference between what should run and what does.
type Step struct {
	Action Action  `json:"action"`
	Name   string  `json:"name"`             // in the file; of a program that the file doesn't know, its function's
	ID     uint32  `json:"id,omitempty"`     // of the program that runs now; 0: none
	Object string  `json:"object,omitempty"` // the file that is loaded
	From   *Place  `json:"from,omitempty"`   // where the program runs now
	To     *Place  `json:"to,omitempty"`     // and where it will
	Reason string  `json:"reason,omitempty"` // why it is replaced or removed
	want   *wanted // nil: to be removed
}

// Place is how a program takes its place in a chain.
type Place struct {
	Priority uint32             `json:"priority"`
	Actions  dispatcher.Actions `json:"actions"`
	Frags    bool               `json:"frags"`
}

// wanted is a program that should run, with all that the file leaves open filled
// in.
type wanted struct {
	entry    Program
	place    Place
	function string // its name in the kernel
	digest   string // of what it is made from
	tag      string // empty: not known, as no program without record has its name
	contents []dispatcher.MapEntry
}

// running is a program that runs.
type running struct {
	dispatcher.Component
	record *record // nil: not known to be xdpmux's
}

func (r *running) place() Place {
	return Place{Priority: r.Priority, Actions: r.Actions, Frags: r.Frags}
}

// name is what people know the program by.
func (r *running) name() string {
	if r.record != nil {
		return r.record.Program.Name
	}
	return r.Name
}

// adoption is a program that runs as the file wants it, but whose record says
// otherwise or is missing.
type adoption struct {
	running *running
	want    *wanted
}

// diff is the planner: what has to be done to a chain for it to be what is wanted.
// It asks nobody but its arguments.
func diff(want []*wanted, runs []*running, prune bool) (steps []Step, adopt []adoption) {
	pairs := match(want, runs)
	kept := map[*running]bool{}
	for _, w := range want {
		r := pairs[w]
		if r == nil {
			steps = append(steps, Step{Action: Add, Name: w.entry.Name, Object: w.entry.Object, To: &w.place, want: w})
			continue
		}
		kept[r] = true
		from := r.place()
		step := Step{Name: w.entry.Name, ID: r.ID, From: &from, To: &w.place, want: w}
		if reason := differs(w, r); reason != "" {
			step.Action, step.Object, step.Reason = Replace, w.entry.Object, reason
			steps = append(steps, step)
			continue
		}
		if from.Priority != w.place.Priority {
			step.Action = Move
			steps = append(steps, step)
		}
		if from.Actions != w.place.Actions || from.Frags != w.place.Frags {
			step.Action = Change
			steps = append(steps, step)
		}
		if r.record == nil || !same(r.record.Program, w.entry) {
			adopt = append(adopt, adoption{r, w})
		}
	}
	for _, r := range runs {
		if kept[r] || r.record == nil && !prune {
			continue
		}
		from := r.place()
		step := Step{Action: Remove, Name: r.name(), ID: r.ID, From: &from, Reason: "the file doesn't have it any more"}
		if r.record == nil {
			step.Reason = "the file doesn't have it"
		}
		steps = append(steps, step)
	}
	return steps, adopt
}

// match finds for each wanted program the one that runs. By the record: the same
// name, or else the same content under a name that is gone. Without: the same
// function and tag, or else the only one of that function.
func match(want []*wanted, runs []*running) map[*wanted]*running {
	pairs := map[*wanted]*running{}
	taken := map[*running]bool{}
	pair := func(fits func(*wanted, *running) bool) {
		for _, w := range want {
			for _, r := range runs {
				if pairs[w] == nil && !taken[r] && fits(w, r) {
					pairs[w], taken[r] = r, true
				}
			}
		}
	}
	pair(func(w *wanted, r *running) bool { return r.record != nil && r.record.Program.Name == w.entry.Name })
	pair(func(w *wanted, r *running) bool { return r.record != nil && r.record.Digest == w.digest })
	twin := func(w *wanted, r *running) bool {
		return r.record == nil && r.Name == w.function && r.Tag == w.tag
	}
	pair(func(w *wanted, r *running) bool { return twin(w, r) && r.place() == w.place })
	pair(twin)
	namesake := func(w *wanted, r *running) bool {
		return pairs[w] == nil && !taken[r] && r.record == nil && r.Name == w.function
	}
	only := map[*wanted]*running{}
	for _, w := range want {
		for _, r := range runs {
			others := slices.ContainsFunc(runs, func(o *running) bool { return o != r && namesake(w, o) }) ||
				slices.ContainsFunc(want, func(o *wanted) bool { return o != w && namesake(o, r) })
			if namesake(w, r) && !others {
				only[w] = r
			}
		}
	}
	for w, r := range only {
		pairs[w] = r
	}
	return pairs
}

// differs says why the program has to be loaded anew; empty: it hasn't.
func differs(w *wanted, r *running) string {
	switch {
	case r.record != nil && r.record.Digest != w.digest:
		return "its object, program, pin path or map contents have changed"
	case r.record == nil && r.Tag != w.tag:
		return "its tag is another"
	}
	return ""
}

// transaction is what does the steps in one swap.
func transaction(mode dispatcher.Mode, steps []Step) dispatcher.Transaction {
	t := dispatcher.Transaction{Mode: mode}
	for _, s := range steps {
		switch s.Action {
		case Add:
			t.Add = append(t.Add, s.want.load())
		case Remove:
			t.Remove = append(t.Remove, s.ID)
		case Replace:
			t.Replace = append(t.Replace, dispatcher.Replacement{ID: s.ID, Program: s.want.load()})
		default: // a program that is moved and changed has two steps
			set := dispatcher.Setting{ID: s.ID, Priority: &s.want.place.Priority, Actions: &s.want.place.Actions, Frags: &s.want.place.Frags}
			if n := len(t.Set); n == 0 || t.Set[n-1].ID != s.ID {
				t.Set = append(t.Set, set)
			}
		}
	}
	return t
}

// load is how the program is loaded.
func (w *wanted) load() dispatcher.Program {
	return dispatcher.Program{
		File: w.entry.Object, Name: w.function, PinPath: w.entry.PinPath, Contents: w.contents,
		Priority: &w.place.Priority, Actions: &w.place.Actions, Frags: &w.place.Frags,
	}
}

// possible says whether the chain can be changed so.
func possible(chain *dispatcher.Chain, mode dispatcher.Mode, want []*wanted, steps []Step) error {
	name := chain.Interface.Name
	switch {
	case chain.Legacy != nil && len(want) > 0:
		return &dispatcher.Error{Kind: dispatcher.ErrLegacy,
			Msg:    fmt.Sprintf("%s has %v, attached without a dispatcher, and nothing can join that", name, chain.Legacy),
			Remedy: "to remove it: xdpmux unload -a " + name}
	case chain.Dispatcher != nil && len(want) > 0 && mode != dispatcher.ModeUnspecified && *chain.Mode != mode:
		return &dispatcher.Error{Kind: dispatcher.ErrModeMismatch,
			Msg:    fmt.Sprintf("the chain on %s is attached in %s mode, and the file wants %s", name, *chain.Mode, mode),
			Remedy: fmt.Sprintf("say mode: %s in the file, or unload the chain first: xdpmux unload -a %s", *chain.Mode, name)}
	}
	if n := programsAfter(chain, steps); n > dispatcher.MaxPrograms {
		return &dispatcher.Error{Kind: dispatcher.ErrChainFull,
			Msg:    fmt.Sprintf("%s would have %d programs, and a chain takes %d", name, n, dispatcher.MaxPrograms),
			Remedy: "take some out of the file, or unload others"}
	}
	return nil
}

// programsAfter is how many programs the chain has when the steps are done.
func programsAfter(chain *dispatcher.Chain, steps []Step) int {
	n := len(chain.Programs)
	for _, s := range steps {
		switch s.Action {
		case Add:
			n++
		case Remove:
			n--
		}
	}
	return n
}
