package desired

import (
	"fmt"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// correction is for an applied program that runs as the file wants it, but whose record
// says something else: the record is to be written anew.
type correction struct {
	running *running
	want    *wanted
}

// diff is the planner. It returns the steps that make a chain what is wanted. It looks at
// nothing but its arguments.
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
			if s.joins = action == Adopt && r.lone; s.loads() {
				s.Object = w.entry.Object
			}
			if r.lone {
				s.From = nil
			}
			steps = append(steps, s)
		}
		if reason := differs(w, r); reason != "" {
			step(Replace, reason)
			continue
		}
		if r.lone {
			step(Adopt, "it runs without a dispatcher, and joins the chain with its maps")
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
		if kept[r] || r.lone || !r.applied() && !opts.Prune {
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

// removeAlone are the steps that remove what isn't in a chain: an offloaded program, and a
// legacy program if no program is wanted.
func removeAlone(chain *dispatcher.Chain, empty bool) []Step {
	var steps []Step
	for _, p := range []*xdp.Loaded{chain.Legacy, chain.Hardware} {
		if p != nil && (empty || p == chain.Hardware) {
			steps = append(steps, Step{Action: Remove, Name: p.Name, ID: p.ID, Reason: notInFile, alone: true})
		}
	}
	return steps
}

// besides is the reason of an added program beside which one of another tool stays that has
// the same name. It is empty if there is none.
func besides(w *wanted, runs []*running, kept map[*running]bool, prune bool) string {
	for _, r := range runs {
		if !prune && !kept[r] && !r.applied() && r.Name == w.function {
			return fmt.Sprintf("%v has another content, was not put there by apply, and stays", r.Loaded)
		}
	}
	return ""
}

// pinnable returns an error if the maps of a program that is to be loaded can't be pinned
// where the file says.
func pinnable(steps []Step) error {
	for _, s := range steps {
		if path := s.want.pinPath(); path != "" && s.loads() {
			if err := object.CheckPinPath(path); err != nil {
				return locate(s.want.entry.where, err)
			}
		}
	}
	return nil
}

// possible returns an error if the steps can't be done to the chain.
func possible(chain *dispatcher.Chain, mode xdp.Mode, want []*wanted, steps []Step) error {
	name := chain.Interface.Name
	taken := takesLone(chain, steps)
	blocked := chain.Legacy != nil && len(want) > 0 && !taken
	switch {
	case chain.Link != 0 && (blocked || len(steps) > 0):
		return chain.Held()
	case blocked:
		return chain.InTheWay()
	case taken && mode != xdp.ModeUnspecified && *chain.Mode != mode:
		return (&xdp.Error{Kind: xdp.ErrModeMismatch,
			Msg: fmt.Sprintf("%v on %s is attached in %s mode, and the file wants %s", chain.Legacy, name, *chain.Mode, mode)}).
			Advise("say mode: %s in the file, or unload it first: %v", *chain.Mode, xdp.Hint{To: xdp.HintDetachAll, Interface: name})
	case chain.Dispatcher != nil && len(want) > 0 && mode != xdp.ModeUnspecified && *chain.Mode != mode:
		return (&xdp.Error{Kind: xdp.ErrModeMismatch,
			Msg: fmt.Sprintf("the chain on %s is attached in %s mode, and the file wants %s", name, *chain.Mode, mode)}).
			Advise("say mode: %s in the file, or unload the chain first: %v", *chain.Mode, xdp.Hint{To: xdp.HintDetachAll, Interface: name})
	}
	if mode == xdp.ModeSKB || chain.Mode != nil && *chain.Mode == xdp.ModeSKB {
		for _, s := range steps {
			if s.loads() && len(s.want.metadata) > 0 {
				return locate(s.want.entry.where, &xdp.Error{Kind: xdp.ErrModeNotSupported,
					Msg: fmt.Sprintf("program %q of %s asks the driver for metadata (%s), which only a program in native mode may",
						s.want.function, s.want.entry.Object, strings.Join(s.want.metadata, ", ")),
					Remedy: "say mode: native in the file"})
			}
		}
	}
	if n := programsAfter(chain, steps); n > xdp.MaxPrograms {
		return &xdp.Error{Kind: xdp.ErrChainFull,
			Msg:    fmt.Sprintf("%s would have %d programs, and a chain takes %d", name, n, xdp.MaxPrograms),
			Remedy: "take some out of the file, or unload others"}
	}
	return nil
}
