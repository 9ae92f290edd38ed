package loaded

import "testing"

// Instead has WaitForPackets call f, which is given the wait itself, until the test ends.
func Instead(t *testing.T, f func(wait func())) {
	waiting = func() { f(wait) }
	t.Cleanup(func() { waiting = wait })
}
