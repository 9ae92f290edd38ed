package harness

import "time"

// patience is how long a test waits for anything before it fails.
const patience = time.Minute

// Eventually waits until ok returns true; it returns false if a minute goes by. It asks again
// and again, so it is for what nobody tells: that a process waits, that a counter rises.
func Eventually(ok func() bool) bool {
	for limit := time.Now().Add(patience); time.Now().Before(limit); time.Sleep(time.Millisecond) {
		if ok() {
			return true
		}
	}
	return false
}
