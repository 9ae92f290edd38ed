package desired

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// TestLock: who waits learns for whom, and waits no longer than its context and a limit
// allow.
func TestLock(t *testing.T) {
	r := records(filepath.Join(t.TempDir(), "run"))
	unlock, err := r.lock(t.Context(), time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	self := fmt.Sprintf("process %d (", os.Getpid())

	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan string, 1)
	_, err = r.lock(ctx, time.Hour, func(holder string) {
		told <- holder
		cancel()
	})
	if holder := <-told; !strings.HasPrefix(holder, self) || !errors.Is(err, context.Canceled) {
		t.Errorf("waits for %q, and ends with %v", holder, err)
	}
	_, err = r.lock(t.Context(), 10*time.Millisecond, func(string) { t.Error("told of a short wait") })
	if text := errorText(err); !errors.Is(err, xdp.ErrBusy) || !strings.HasPrefix(text, self) ||
		!strings.HasSuffix(text, " holds "+string(r)+"/lock, and 10ms of waiting were not enough") {
		t.Errorf("at the limit: %v", err)
	}
	unlock()
	if unlock, err = r.lock(t.Context(), time.Hour, nil); err != nil {
		t.Fatal(err)
	}
	unlock()
}

// TestRights: nobody else opens the lock or reads a record, even if an older xdpmux has
// left them open to all.
func TestRights(t *testing.T) {
	for _, older := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "run")
		if older {
			for _, err := range []error{os.Mkdir(dir, 0o755),
				os.WriteFile(filepath.Join(dir, "lock"), nil, 0o644), os.WriteFile(filepath.Join(dir, "7.json"), nil, 0o644)} {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		unlock, err := records(dir).lock(t.Context(), time.Hour, nil)
		if err != nil {
			t.Fatal(err)
		}
		unlock()
		err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err == nil && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s is %v, made by an older one: %v", path, info.Mode(), older)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
