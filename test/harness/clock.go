package harness

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ClockOfVM skips the test unless it runs in a VM, whose clock may be set.
func ClockOfVM(t testing.TB) {
	t.Helper()
	if _, err := os.Stat("/payload"); err != nil {
		t.Skip("the clock of this machine is left alone: make test-vm sets that of a VM")
	}
}

// StepClock sets the clock of a VM forward or backward until the end of the test.
func StepClock(t testing.TB, by time.Duration) {
	t.Helper()
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
