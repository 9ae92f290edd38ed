package desired

import (
	"fmt"
	"slices"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
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
	Adopt   Action = "adopt"   // take one that runs as it should, and that Apply has not put there, for the state's
	Pin     Action = "pin"     // pin its maps again, whose pins somebody has removed
)

// Step is one difference between what should run and what does.
type Step struct {
	Action Action     `json:"action"`
	Name   string     `json:"name"`             // in the file; of a program that the file doesn't know, its function's
	ID     uint32     `json:"id,omitempty"`     // of the program that runs now; 0: none
	Object string     `json:"file,omitempty"`   // the object file that is loaded
	From   *Place     `json:"from,omitempty"`   // where the program runs now
	To     *Place     `json:"to,omitempty"`     // and where it will
	Reason string     `json:"reason,omitempty"` // why; empty: from and to tell
	want   *wanted    // nil: to be removed
	there  xdp.Loaded // the program that runs now
	alone  bool       // not one of a chain: a legacy or an offloaded program
}

// Place is how a program takes its place in a chain.
type Place struct {
	Priority uint32      `json:"priority"`
	Actions  xdp.Actions `json:"actions"`
	Frags    bool        `json:"frags"`
}

// wanted is a program that should run, with all that the file leaves open filled
// in.
type wanted struct {
	entry    Program
	data     []byte // of the object
	place    Place
	function string // its name in the kernel
	digest   string // of what it is made from
	contents []xdp.MapEntry

	// tag and unlike are known where programs of that function run that Apply has not
	// put there: the tag it has when it is loaded, and by their ids what tells them from
	// it although they have that tag; empty: nothing.
	tag    string
	unlike map[uint32]string
}

// pinPath takes nil too.
func (w *wanted) pinPath() string {
	if w == nil {
		return ""
	}
	return w.entry.PinPath
}

// running is a program that runs.
type running struct {
	dispatcher.Component
	ifindex int     // of the interface
	record  *record // nil: nobody knows what it was made from

	unpinned []string // its maps that have lost their pin
	otherPin string   // one whose pin is another map's by now; empty: none
}

func (r *running) place() Place {
	return Place{Priority: r.Priority, Actions: r.Actions, Frags: r.Frags}
}

// applied says whether the program is what a state wanted on this interface: then it
// goes when no state wants it any more.
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

// correction is the record of an applied program that says otherwise than the file,
// of a program that runs as the file wants it.
type correction struct {
	running *running
	want    *wanted
}

// diff is the planner: what has to be done to a chain for it to be what is wanted.
// It asks nobody but its arguments.
func diff(want []*wanted, runs []*running, opts Options) (steps []Step, corrections []correction) {
	pairs := match(want, runs, opts.Adopt)
	kept := map[*running]bool{}
	for _, r := range pairs {
		kept[r] = true
	}
	for _, w := range want {
		r := pairs[w]
		if r == nil {
			steps = append(steps, Step{Action: Add, Name: w.entry.Name, Object: w.entry.Object, To: &w.place, Reason: besides(w, runs, kept, opts.Prune), want: w})
			continue
		}
		from := r.place()
		step := func(action Action, reason string) {
			s := Step{Action: action, Name: w.entry.Name, ID: r.ID, From: &from, To: &w.place, Reason: reason, want: w, there: r.Loaded}
			if action == Replace {
				s.Object = w.entry.Object
			}
			steps = append(steps, s)
		}
		if reason := differs(w, r); reason != "" {
			step(Replace, reason)
			continue
		}
		if !r.applied() {
			step(Adopt, "it is what the file wants, and apply has not put it there")
		} else if !same(r.record.Program, w.entry) {
			corrections = append(corrections, correction{r, w})
		}
		if from.Priority != w.place.Priority {
			step(Move, "")
		}
		if from.Actions != w.place.Actions || from.Frags != w.place.Frags {
			step(Change, "")
		}
		if len(r.unpinned) > 0 {
			step(Pin, "not pinned any more: "+strings.Join(r.unpinned, ", "))
		}
	}
	for _, r := range runs {
		if kept[r] || !r.applied() && !opts.Prune {
			continue
		}
		from := r.place()
		step := Step{Action: Remove, Name: r.name(), ID: r.ID, From: &from, Reason: goneFromFile}
		if !r.applied() {
			step.Reason = notInFile
		}
		steps = append(steps, step)
	}
	return steps, corrections
}

// Why a program is removed.
const (
	goneFromFile = "the file doesn't have it any more"
	notInFile    = "the file doesn't have it"
)

// removeAlone are the steps that remove what isn't in a chain: an offloaded program,
// and a legacy one where no program is wanted.
func removeAlone(chain *dispatcher.Chain, empty bool) []Step {
	var steps []Step
	for _, p := range []*xdp.Loaded{chain.Legacy, chain.Hardware} {
		if p != nil && (empty || p == chain.Hardware) {
			steps = append(steps, Step{Action: Remove, Name: p.Name, ID: p.ID, Reason: notInFile, alone: true})
		}
	}
	return steps
}

// swaps says whether steps change the chain.
func swaps(steps []Step) bool {
	return slices.ContainsFunc(steps, func(s Step) bool { return s.Action != Adopt && s.Action != Pin && !s.alone })
}

// besides tells of a program of another tool that has the name of one that is added,
// and stays; empty: there is none.
func besides(w *wanted, runs []*running, kept map[*running]bool, prune bool) string {
	for _, r := range runs {
		if !prune && !kept[r] && !r.applied() && r.Name == w.function {
			return fmt.Sprintf("%v has another content, was not put there by apply, and stays", r.Loaded)
		}
	}
	return ""
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

// load is how the program is loaded.
func (w *wanted) load() xdp.Program {
	return xdp.Program{
		File: w.entry.Object, Data: w.data, Name: w.function, PinPath: w.entry.PinPath, Contents: w.contents, MapSizes: w.entry.MapSizes,
		Priority: &w.place.Priority, Actions: &w.place.Actions, Frags: &w.place.Frags,
	}
}

// pinnable says whether maps of the programs that are loaded can be pinned where the file
// says.
func pinnable(steps []Step) error {
	for _, s := range steps {
		if path := s.want.pinPath(); path != "" && (s.Action == Add || s.Action == Replace) {
			if err := object.CheckPinPath(path); err != nil {
				return locate(s.want.entry.where, err)
			}
		}
	}
	return nil
}

// possible says whether the chain can be changed so.
func possible(chain *dispatcher.Chain, mode xdp.Mode, want []*wanted, steps []Step) error {
	name := chain.Interface.Name
	blocked := chain.Legacy != nil && len(want) > 0
	switch {
	case chain.Link != 0 && (blocked || len(steps) > 0):
		return chain.Held()
	case blocked:
		return &xdp.Error{Kind: xdp.ErrLegacy,
			Msg:    fmt.Sprintf("%s has %v, attached without a dispatcher, and nothing can join that", name, chain.Legacy),
			Remedy: "to remove it: xdpmux unload -a " + name}
	case chain.Dispatcher != nil && len(want) > 0 && mode != xdp.ModeUnspecified && *chain.Mode != mode:
		return &xdp.Error{Kind: xdp.ErrModeMismatch,
			Msg:    fmt.Sprintf("the chain on %s is attached in %s mode, and the file wants %s", name, *chain.Mode, mode),
			Remedy: fmt.Sprintf("say mode: %s in the file, or unload the chain first: xdpmux unload -a %s", *chain.Mode, name)}
	}
	if n := programsAfter(chain, steps); n > xdp.MaxPrograms {
		return &xdp.Error{Kind: xdp.ErrChainFull,
			Msg:    fmt.Sprintf("%s would have %d programs, and a chain takes %d", name, n, xdp.MaxPrograms),
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
			if !s.alone {
				n--
			}
		}
	}
	return n
}
