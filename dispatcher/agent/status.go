package agent

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Condition is how an interface is.
type Condition string

// The conditions.
const (
	AsDeclared Condition = "as declared"
	Drifted    Condition = "drifted" // somebody has changed it
	Trying     Condition = "trying"  // it was changed, and the guard may take that back
	TakenBack  Condition = "taken back"
	Failed     Condition = "failed"  // it can't be changed now
	Waiting    Condition = "waiting" // it is looked at in a moment
)

// Interface is one that the files declare, or did, and that is there.
type Interface struct {
	xdp.Interface
	Condition Condition
	Why       string    // empty: there is nothing to say
	Differs   string    // the steps that would make it as declared, such as "add xdp_pass"; empty: none
	Changed   time.Time // when the agent has last changed it; zero: it hasn't

	Generation int       // of the files that it was last as declared by; 0: it never was
	Converged  time.Time // when it was last found or made so; zero: never

	Declared, Running int // programs, as the last look has found them; those of others run too
}

// File is a state file that can't be used.
type File struct {
	Path string
	Err  error
}

// Status is how things are.
type Status struct {
	Generation int   // it grows with each change of what the files declare
	Read       bool  // the files have been read
	Unread     error // why they can't be read now
	Broken     []File
	Fetching   []string    // files whose images are asked for, and until then what they declared before stays
	Unwritten  error       // why what the agent knows can't be written down for the next one
	Untold     error       // why the history lacks the last change, or a part of it
	Interfaces []Interface // in the order of their names
	Pending    int         // changes that the agent has made, and that a guard may take back

	// What tags stand for that have moved since the start, by the objects that name them.
	Moved map[string]Moved

	Drifts, Mends, Changes, TakenBack int
	TagsMoved                         int            // how often one has
	LastChange                        time.Time      // zero: there was none
	Converged                         time.Time      // when all was last as declared; zero: never
	Errors                            map[string]int // by their kinds
}

// Moved is a tag that stands for another image than when it was resolved before.
type Moved struct{ Before, Now string } // digests

// totals are what Status counts since the start.
type totals struct {
	Drifts, Mends, Changes, TakenBack int
	TagsMoved                         int
	Moved                             map[string]Moved
	LastChange, Converged             time.Time
	Errors                            map[string]int
}

// Count is how many interfaces are in a condition.
func (s Status) Count(c Condition) int {
	n := 0
	for _, is := range s.Interfaces {
		if is.Condition == c {
			n++
		}
	}
	return n
}

// Settled says whether the files have been read and all that they declare was looked at.
func (s Status) Settled() bool {
	return s.Read && s.Unread == nil && len(s.Fetching) == 0 && s.Count(Waiting) == 0
}

func (a *agent) status() Status {
	t := a.totals
	s := Status{Generation: a.memory.Generation, Read: a.state != nil, Unread: a.unread, Unwritten: a.unwritten, Untold: a.untold, Pending: a.pending,
		Drifts: t.Drifts, Mends: t.Mends, Changes: t.Changes, TakenBack: t.TakenBack, TagsMoved: t.TagsMoved, Moved: maps.Clone(t.Moved),
		LastChange: t.LastChange, Errors: maps.Clone(t.Errors)}
	for _, path := range slices.Sorted(maps.Keys(a.files)) {
		f := a.files[path]
		if f.err != nil {
			s.Broken = append(s.Broken, File{path, f.err})
		}
		if f.coming != nil && f.images == nil {
			s.Fetching = append(s.Fetching, path)
		}
	}
	for _, k := range a.kept {
		is := Interface{Interface: xdp.Interface{Name: k.Name, Index: k.Index}, Differs: k.differs, Changed: k.changed,
			Generation: k.generation, Converged: k.converged, Declared: k.declares, Running: k.runs}
		is.Condition, is.Why = k.condition()
		s.Interfaces = append(s.Interfaces, is)
	}
	slices.SortFunc(s.Interfaces, func(x, y Interface) int { return strings.Compare(x.Name, y.Name) })
	if s.Read && s.Unread == nil && len(s.Fetching) == 0 && len(s.Broken) == 0 && s.Count(AsDeclared) == len(s.Interfaces) {
		a.totals.Converged = time.Now()
	}
	s.Converged = a.totals.Converged
	return s
}

func (k *kept) condition() (Condition, string) {
	switch {
	case k.busy:
		return Trying, ""
	case k.Held != nil && k.drift.IsZero():
		return TakenBack, k.Held.Why
	case k.Held != nil:
		return Drifted, k.Held.Why
	case k.err != nil:
		return Failed, k.err.Error()
	case !k.drift.IsZero():
		return Drifted, ""
	case k.Declared == "" || k.fresh:
		return Waiting, ""
	}
	return AsDeclared, ""
}
