package harness

import (
	"fmt"
	"os"
	"regexp"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// LockPins takes the lock that libxdp's protocol has for the pins of all chains, until
// unlock is called or the test ends.
func LockPins(t testing.TB) (unlock func()) {
	t.Helper()
	const dir = "/sys/fs/bpf/xdp"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	unlock = sync.OnceFunc(func() { unix.Close(fd) })
	t.Cleanup(unlock)
	if err := unix.Flock(fd, unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return unlock
}

// WaitForLock returns when the process waits for a lock of flock(2).
func WaitForLock(t testing.TB, pid int) {
	t.Helper()
	waits := regexp.MustCompile(fmt.Sprintf(`-> FLOCK +ADVISORY +WRITE %d `, pid))
	var locks []byte
	if !Eventually(func() bool {
		var err error
		if locks, err = os.ReadFile("/proc/locks"); err != nil {
			t.Fatal(err)
		}
		return waits.Match(locks)
	}) {
		t.Fatalf("process %d doesn't wait:\n%s", pid, locks)
	}
}
