package observe

import (
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/test/harness"
)

// The clock is set while a trace goes on: packets that come later have the new time.
func TestClockIsSet(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 2)
	l := live(t, v, observe.LiveOptions{})
	defer l.Close()
	harness.StepClock(t, 30*24*time.Hour)
	v.Deliver(t, mixFrame())
	trace, err := l.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if age := time.Now().Round(0).Sub(trace.Time); age < -time.Second || age > time.Minute {
		t.Errorf("a packet of now is of %v, %v ago", trace.Time, age)
	}
}
