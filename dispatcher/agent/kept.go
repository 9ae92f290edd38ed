package agent

import (
	"cmp"
	"slices"
	"time"
)

// kept is an interface that the files declare, or that the agent has changed. What is exported
// outlives the process.
type kept struct {
	Index    int    `json:"index"`
	Name     string `json:"name"`
	Declared string `json:"declared,omitempty"` // the digest of what it was last as declared by; empty: it never was
	Trying   string `json:"trying,omitempty"`   // that of what is tried, or was when the agent was killed
	Held     *hold  `json:"held,omitempty"`

	attached uint32    // the program that is there while it is as declared
	fresh    bool      // the files have changed since then
	drift    time.Time // since when it is no longer as declared; zero: it is
	mends    []time.Time
	mending  bool // the change that is being made is a mend

	due      time.Time // when it is to be looked at; zero: when something happens
	failures int       // in a row
	err      error     // why it isn't as declared
	busy     bool      // a change of it is being tried
	changed  time.Time // when the agent has last changed it
	before   string    // what it was called before; empty: it had no other name

	declares, runs int       // programs, at the last look
	differs        string    // the steps that would make it as declared
	generation     int       // of the files that it was last as declared by; 0: it never was
	converged      time.Time // when it was last seen so
}

// hold keeps the agent from making an interface what that digest stands for.
type hold struct {
	Digest string `json:"digest"`
	Why    string `json:"why"`
}

// How drift is mended.
const (
	fightTime = time.Minute // two mends within it are a fight

	whyFight = "somebody changes it again and again: it was mended twice within a minute, and is left as it is until the files change, the agent is reloaded, or somebody puts it right"
)

// backOff is how long to wait before the first mend, and before the second one of a fightTime.
var backOff = []time.Duration{500 * time.Millisecond, 2 * time.Second}

// verdict is what to do about an interface that isn't as declared.
type verdict int

const (
	change verdict = iota // make it as declared
	try                   // the same, and take it back if the guard fails
	wait                  // look again when it is due
	leave                 // report it
)

// judge says what to do about an interface that isn't as digest stands for. guarded says that
// changes are tried.
//
// It is the declaration that is tried, so not what the agent finds at its start, nor an
// interface that comes, nor a mend.
func (k *kept) judge(now time.Time, digest string, guarded, mend bool) verdict {
	if k.Held != nil && k.Held.Digest == digest {
		if digest == k.Declared && k.drift.IsZero() {
			k.drift = now // in a fight that an agent before this one was in
		}
		return leave
	}
	k.Held, k.mending = nil, false
	if digest != k.Declared {
		k.drift = time.Time{}
		if guarded && (k.fresh || k.Declared != "" || k.Trying == digest) {
			return try
		}
		return change
	}
	if k.drift.IsZero() {
		k.drift = now
	}
	if !mend {
		return leave
	}
	k.mends = slices.DeleteFunc(k.mends, func(t time.Time) bool { return now.Sub(t) >= fightTime })
	if len(k.mends) == len(backOff) {
		k.Held = &hold{digest, whyFight}
		return leave
	}
	if ready := k.drift.Add(backOff[len(k.mends)]); now.Before(ready) {
		k.lookAt(ready)
		return wait
	}
	k.mending = true
	return change
}

// lookAt says that the interface is to be looked at then, or before.
func (k *kept) lookAt(t time.Time) { k.due = earlier(k.due, t) }

// earlier is the earlier of two times; a zero one is none.
func earlier(x, y time.Time) time.Time {
	if x.IsZero() || !y.IsZero() && y.Before(x) {
		return y
	}
	return x
}

// asDeclared says that it runs what digest stands for, as long as the program attached is there.
func (k *kept) asDeclared(digest string, attached uint32) {
	k.Declared, k.attached, k.Trying, k.Held = digest, attached, "", nil
	k.fresh, k.drift, k.failures, k.err, k.differs = false, time.Time{}, 0, nil, ""
}

// made says that it was changed to what digest stands for, and has the program attached since then.
func (k *kept) made(now time.Time, digest string, attached uint32) {
	if k.mending {
		k.mends = append(k.mends, now)
	}
	k.asDeclared(digest, attached)
	k.changed, k.mending = now, false
}

// longestRetry is the longest time between two attempts.
const longestRetry = time.Minute

// failed says that it couldn't be changed.
func (k *kept) failed(now time.Time, err error) {
	k.err = err
	k.lookAt(now.Add(min(time.Second<<min(k.failures, 6), longestRetry)))
	k.failures++
}

// inOrder sorts interfaces by their indices.
func inOrder(all []*kept) []*kept {
	slices.SortFunc(all, func(x, y *kept) int { return cmp.Compare(x.Index, y.Index) })
	return all
}
