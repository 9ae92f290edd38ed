package observe

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/test/harness"
)

// The clock is set while a trace goes on: packets that come later have the new time.
func TestClockIsSet(t *testing.T) {
	if _, err := os.Stat("/payload"); err != nil {
		t.Skip("the clock of this machine is left alone: make test-vm sets that of a VM")
	}
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 2)
	l := live(t, v, observe.LiveOptions{})
	defer l.Close()
	set := func(by time.Duration) {
		t.Helper()
		now := unix.NsecToTimespec(time.Now().Add(by).UnixNano())
		if err := unix.ClockSettime(unix.CLOCK_REALTIME, &now); err != nil {
			t.Fatal(err)
		}
	}
	const step = 30 * 24 * time.Hour
	set(step)
	defer set(-step)
	v.Deliver(t, mixFrame())
	trace, err := l.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if age := time.Now().Round(0).Sub(trace.Time); age < -time.Second || age > time.Minute {
		t.Errorf("a packet of now is of %v, %v ago", trace.Time, age)
	}
}
