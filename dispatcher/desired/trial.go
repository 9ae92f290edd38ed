package desired

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Trial says how a state is to be tried, see package pending. [State.Apply] doesn't look at it:
// who calls that begins the trial. Times are in seconds; 0 leaves one to the caller.
type Trial struct {
	Confirm int    `json:"confirm,omitempty"` // the change is taken back after that, unless it is confirmed
	Guard   string `json:"guard,omitempty"`   // a command of the shell; the change is taken back as soon as it fails

	GuardInterval int  `json:"guard-interval,omitempty"` // from one run of the guard to the next
	GuardTimeout  int  `json:"guard-timeout,omitempty"`  // for one run
	GuardDrops    *int `json:"guard-drops,omitempty"`    // percentage points by which the share of dropped packets may grow; nil: it isn't looked at
	GuardBefore   int  `json:"guard-before,omitempty"`   // for how long that share is measured before the change
}

// Tries says whether a change is tried at all.
func (t Trial) Tries() bool { return t.Confirm != 0 || t.Guard != "" || t.GuardDrops != nil }

// longestTrial is how many seconds a time of a Trial may have: a day.
const longestTrial = int(24 * time.Hour / time.Second)

// readTrial adds the keys of a Trial to those of a state.
func (f *stateFile) readTrial(s *State, known keys) keys {
	t := &s.Trial
	s.where = map[string]string{}
	own := keys{
		"guard": f.text(&t.Guard, func() error {
			if strings.TrimSpace(t.Guard) == "" {
				return errors.New("this names no command")
			}
			return nil
		}),
		"guard-drops": func(n *yaml.Node) error {
			t.GuardDrops = new(int)
			return f.within(t.GuardDrops, 0, 100, "a number of percentage points")(n)
		},
	}
	for key, into := range map[string]*int{"confirm": &t.Confirm, "guard-interval": &t.GuardInterval, "guard-timeout": &t.GuardTimeout, "guard-before": &t.GuardBefore} {
		own[key] = f.within(into, 1, longestTrial, "a number of seconds")
	}
	for key, read := range own {
		known[key] = func(n *yaml.Node) error {
			s.where[key] = f.where(n)
			return read(n)
		}
	}
	return known
}

// within reads a whole number from least to most.
func (f *stateFile) within(into *int, least, most int, what string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		number, err := f.integer(n)
		if err != nil {
			return err
		}
		if *into, err = strconv.Atoi(string(number)); err != nil || *into < least || *into > most {
			return f.wrong(n, "%s is not %s, which is from %d to %d", number, what, least, most)
		}
		return nil
	}
}

// Add adds what another file says to the state. How the state is to be tried can be said once
// for all files ([xdp.ErrInvalid]); then nothing is added.
func (s *State) Add(one *State) error {
	for _, key := range slices.Sorted(maps.Keys(one.where)) {
		if first := s.where[key]; first != "" && first != one.where[key] { // a file can be named twice
			return invalid(one.where[key], "key %q can stand in one file only, and stands at %s too", key, first)
		}
	}
	s.Interfaces = append(s.Interfaces, one.Interfaces...)
	if s.where == nil {
		s.where = map[string]string{}
	}
	maps.Copy(s.where, one.where)
	s.Trial = Trial{
		Confirm:       cmp.Or(s.Confirm, one.Confirm),
		Guard:         cmp.Or(s.Guard, one.Guard),
		GuardInterval: cmp.Or(s.GuardInterval, one.GuardInterval),
		GuardTimeout:  cmp.Or(s.GuardTimeout, one.GuardTimeout),
		GuardDrops:    cmp.Or(s.GuardDrops, one.GuardDrops),
		GuardBefore:   cmp.Or(s.GuardBefore, one.GuardBefore),
	}
	return nil
}
