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
	Before    string // what it was called before; empty: it had no other name
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

// Late is a state file whose content isn't taken yet. Until it is, what the file declared before stays.
type Late struct {
	Path string
	Why  Lateness
}

// Lateness is why a file is late.
type Lateness string

// The reasons.
const (
	Writing      Lateness = "writing"  // somebody has it open for writing
	ImagesComing Lateness = "fetching" // registries haven't answered yet
)

// Image is one that a state file names.
type Image struct {
	File, Object string
	Digest       string // what it stands for; empty: it can't be had
	Condition    ImageCondition
	Why          string // empty: there is nothing to say
}

// ImageCondition is how an image is. What its name stands for is asked when its file is read for the
// first time or has changed, and with Reload.
type ImageCondition string

// The conditions.
const (
	ImageHere    ImageCondition = "here"
	ImageMoved   ImageCondition = "moved"   // its tag stood for something else when it was asked for before
	ImageUnasked ImageCondition = "unasked" // its registry couldn't be asked: it is what the tag stood for before
	ImageMissing ImageCondition = "missing" // it can't be had: the chains that want it stay as they are
)

// Status is how things are.
type Status struct {
	Generation int   // it grows with each change of what the files declare
	Read       bool  // the files have been read
	Unread     error // why they can't be read now
	Files      int   // that were read last
	Broken     []File
	Late       []Late
	Images     []Image
	Unwritten  error       // why what the agent knows can't be written down for the next one
	Untold     error       // why the history lacks the last change, or a part of it
	Interfaces []Interface // in the order of their names
	Pending    int         // changes that the agent has made, and that a guard may take back

	// What tags stand for that have moved since the start, by the objects that name them.
	Moved map[string]Moved

	Drifts, Mends, Changes, TakenBack int
	TagsMoved                         int            // how often one has
	Renames                           int            // of interfaces that are kept
	ClockSteps                        int            // how often the clock was set
	Refused                           int            // agents that were turned away, as this one runs
	LastRefused                       string         // the last of them: process N
	LastChange                        time.Time      // zero: there was none
	Converged                         time.Time      // when all was last as declared; zero: never
	Errors                            map[string]int // by their kinds
}

// Moved is a tag that stands for another image than when it was resolved before.
type Moved struct{ Before, Now string } // digests

// totals are what Status counts since the start.
type totals struct {
	Drifts, Mends, Changes, TakenBack, TagsMoved, Renames, ClockSteps, Refused int

	Moved                 map[string]Moved
	LastRefused           string
	LastChange, Converged time.Time
	Errors                map[string]int
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
	return s.Read && s.Unread == nil && len(s.Fetching()) == 0 && s.Count(Waiting) == 0
}

// Fetching are the files whose images are being fetched.
func (s Status) Fetching() (paths []string) {
	for _, l := range s.Late {
		if l.Why == ImagesComing {
			paths = append(paths, l.Path)
		}
	}
	return paths
}

func (a *agent) status() Status {
	t := a.totals
	s := Status{Generation: a.memory.Generation, Read: a.state != nil, Unread: a.unread, Unwritten: a.unwritten, Untold: a.untold, Pending: a.pending,
		Drifts: t.Drifts, Mends: t.Mends, Changes: t.Changes, TakenBack: t.TakenBack, TagsMoved: t.TagsMoved, Moved: maps.Clone(t.Moved),
		Renames: t.Renames, ClockSteps: t.ClockSteps, Refused: t.Refused, LastRefused: t.LastRefused,
		LastChange: t.LastChange, Errors: maps.Clone(t.Errors), Files: len(a.files)}
	for _, path := range slices.Sorted(maps.Keys(a.files)) {
		f := a.files[path]
		if f.err != nil {
			s.Broken = append(s.Broken, File{path, f.err})
		}
		switch {
		case !f.writing.IsZero():
			s.Late = append(s.Late, Late{path, Writing})
		case f.coming != nil && f.images == nil:
			s.Late = append(s.Late, Late{path, ImagesComing})
		}
		for _, object := range slices.Sorted(maps.Keys(f.images)) {
			s.Images = append(s.Images, f.images[object])
		}
	}
	s.Interfaces = make([]Interface, 0, len(a.kept))
	for _, k := range slices.SortedFunc(maps.Values(a.kept), func(x, y *kept) int { return strings.Compare(x.Name, y.Name) }) {
		is := Interface{Interface: xdp.Interface{Name: k.Name, Index: k.Index}, Before: k.before, Differs: k.differs, Changed: k.changed,
			Generation: k.generation, Converged: k.converged, Declared: k.declares, Running: k.runs}
		is.Condition, is.Why = k.condition()
		s.Interfaces = append(s.Interfaces, is)
	}
	if s.Read && s.Unread == nil && len(s.Fetching()) == 0 && len(s.Broken) == 0 && s.Count(AsDeclared) == len(s.Interfaces) {
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
