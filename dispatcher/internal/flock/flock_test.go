package flock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestLock: one waits until the other lets go, or until its context ends, and knows who
// the other is.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	holder := open(t, path)
	first, second := int(holder.Fd()), int(open(t, path).Fd())
	if who := Holder(second); who != "" {
		t.Errorf("%s holds it before anybody does", who)
	}
	if err := Lock(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if who := Holder(second); !strings.HasPrefix(who, fmt.Sprintf("process %d (", os.Getpid())) {
		t.Errorf("held by %q", who)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := Lock(ctx, second); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the context has ended, and Lock says %v", err)
	}
	// A thread goes on waiting for who gave up, and only one, and takes the lock from nobody.
	impatient, end := context.WithCancel(t.Context())
	end()
	for range 3 {
		if err := Lock(impatient, second); !errors.Is(err, context.Canceled) {
			t.Errorf("the context has ended, and Lock says %v", err)
		}
	}
	deserted.Lock()
	if len(deserted.threads) != 1 {
		t.Errorf("%d threads wait for nobody", len(deserted.threads))
	}
	deserted.Unlock()
	third := open(t, path)
	done := make(chan error)
	go func() { done <- Lock(t.Context(), int(third.Fd())) }()
	select {
	case err := <-done:
		t.Fatalf("two have it: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	holder.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestHolderIn(t *testing.T) {
	const locks = `1: POSIX  ADVISORY  WRITE 700 00:1b:5 0 EOF
2: -> FLOCK  ADVISORY  WRITE 701 00:1b:5 0 EOF
3: FLOCK  ADVISORY  WRITE 702 00:1b:6 0 EOF
4: FLOCK  ADVISORY  READ  703 00:1b:5 0 EOF
5: FLOCK  ADVISORY  WRITE -1 08:101:7 0 EOF
6: FLOCK
`
	for _, c := range []struct {
		major, minor uint32
		inode        uint64
		pid          int
		found        bool
	}{{0, 0x1b, 5, 703, true}, {0, 0x1b, 6, 702, true}, {0, 0x1b, 7, 0, false}, {8, 0x101, 7, -1, true}} {
		if pid, found := holderIn(locks, c.major, c.minor, c.inode); pid != c.pid || found != c.found {
			t.Errorf("%x:%x:%d: %d, %v", c.major, c.minor, c.inode, pid, found)
		}
	}
}
