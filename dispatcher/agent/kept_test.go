package agent

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// TestJudge: what is tried, what is mended, and when.
func TestJudge(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		what          string
		kept          kept
		guarded, mend bool
		want          verdict
	}{
		{"an interface that comes", kept{}, true, true, change},
		{"a new file about an interface that was there", kept{fresh: true}, true, true, try},
		{"without a guard", kept{fresh: true}, false, true, change},
		{"another declaration", kept{Declared: "old", fresh: true}, true, true, try},
		{"another declaration, found at the start", kept{Declared: "old"}, true, true, try},
		{"what was being tried when the agent was killed", kept{Trying: "new"}, true, true, try},
		{"what a guard has taken back", kept{Declared: "old", fresh: true, Held: &hold{Digest: "new"}}, true, true, leave},
		{"another than what a guard has taken back", kept{fresh: true, Held: &hold{Digest: "bad"}}, true, true, try},
		{"drift", kept{Declared: "new"}, true, true, wait},
		{"drift, while the file changes otherwise", kept{Declared: "new", fresh: true}, true, true, wait},
		{"drift after the back-off", kept{Declared: "new", drift: now.Add(-time.Second)}, true, true, change},
		{"the second one, too soon", kept{Declared: "new", drift: now.Add(-time.Second), mends: []time.Time{now.Add(-2 * time.Second)}}, true, true, wait},
		{"the second one", kept{Declared: "new", drift: now.Add(-6 * time.Second), mends: []time.Time{now.Add(-7 * time.Second)}}, true, true, change},
		{"the third one within a minute", kept{Declared: "new", drift: now.Add(-time.Minute), mends: []time.Time{now.Add(-59 * time.Second), now.Add(-50 * time.Second)}}, true, true, leave},
		{"the third one, later", kept{Declared: "new", drift: now.Add(-9 * time.Second), mends: []time.Time{now.Add(-time.Minute), now.Add(-50 * time.Second)}}, true, true, change},
		{"drift that is only reported", kept{Declared: "new", drift: now.Add(-time.Hour)}, true, false, leave},
	} {
		k := c.kept
		if got := k.judge(now, "new", c.guarded, c.mend); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
		if got := !k.due.IsZero(); got != (c.want == wait) {
			t.Errorf("%s: due: %v", c.what, got)
		}
	}
}

// TestFight lives through a fight: two mends, then only reports, until the file changes.
func TestFight(t *testing.T) {
	now := time.Now()
	k := &kept{}
	k.made(now, "a", 1)
	for _, pause := range backOff {
		k.asDeclared("a", 1)
		k.due = time.Time{}
		if got := k.judge(now, "a", false, true); got != wait {
			t.Fatalf("at first: %d", got)
		}
		if now = now.Add(pause); !k.due.Equal(now) || k.judge(now, "a", false, true) != change {
			t.Fatalf("due %v after that, want %v", k.due.Sub(now), pause)
		}
		k.made(now, "a", 1)
	}
	for range 2 {
		if got := k.judge(now, "a", false, true); got != leave || k.Held == nil {
			t.Fatalf("a fight: %d, %v", got, k.Held)
		}
	}
	if c, why := k.condition(); c != Drifted || why != whyFight {
		t.Errorf("%s: %s", c, why)
	}
	if got := k.judge(now, "b", false, true); got != change || k.Held != nil {
		t.Errorf("another declaration: %d", got)
	}
	// The next agent has not seen the fight.
	next := &kept{Declared: "a", Held: &hold{"a", whyFight}}
	if got := next.judge(now, "a", false, true); got != leave {
		t.Errorf("the next agent: %d", got)
	}
	if c, why := next.condition(); c != Drifted || why != whyFight {
		t.Errorf("the next agent: %s: %s", c, why)
	}
	k.Held = &hold{"a", whyFight}
	if k.asDeclared("a", 1); k.Held != nil {
		t.Error("somebody has put it right, and it is held")
	}
}

// TestRetries: an interface that can't be changed is tried again, each time later.
func TestRetries(t *testing.T) {
	now := time.Now()
	k := &kept{}
	var pauses []time.Duration
	for range 8 {
		k.due = time.Time{}
		k.failed(now, errors.New("no"))
		pauses = append(pauses, k.due.Sub(now)/time.Second)
	}
	if want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60}; !slices.Equal(pauses, want) {
		t.Errorf("%d, want %d", pauses, want)
	}
}

// TestSettle: files are read when they have been left alone for a moment, or after a second.
func TestSettle(t *testing.T) {
	begin := time.Now()
	a := &agent{}
	for now := begin; now.Before(begin.Add(950 * time.Millisecond)); now = now.Add(50 * time.Millisecond) {
		a.readSoon(now)
		if want := min(now.Add(filesSettle).Sub(begin), filesLimit); a.reads.Sub(begin) != want {
			t.Errorf("after a change at %v they are read at %v, want %v", now.Sub(begin), a.reads.Sub(begin), want)
		}
	}
}
