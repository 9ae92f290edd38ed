package harness

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// StepClock sets the clock of a VM forward or backward until the end of the test. That of another
// machine is left alone.
func StepClock(t testing.TB, by time.Duration) {
	t.Helper()
	if _, err := os.Stat("/payload"); err != nil {
		t.Log("the clock of this machine is left alone: make test-vm sets that of a VM")
		return
	}
	set := func(by time.Duration) error {
		now := unix.NsecToTimespec(time.Now().Add(by).UnixNano())
		return unix.ClockSettime(unix.CLOCK_REALTIME, &now)
	}
	if err := set(by); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set(-by); err != nil {
			t.Error(err)
		}
	})
}
