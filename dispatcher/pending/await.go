package pending

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/internal/flock"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Why a change is taken back that nobody has ended.
const (
	whyTime   = "nobody confirmed it in time"
	whyKilled = "the command that made it was killed before it was done"
	whyAlone  = "the process that ran its guard was killed"
)

// again is how long Await waits before it tries once more to take a change back.
const again = 5 * time.Second

// Await waits until the change has ended, whoever ends it. When its time is over, Await takes
// it back. If what makes the change is killed on the way, Await takes back what was made. It
// ends with ctx; the change goes on then.
func (c *Change) Await(ctx context.Context) (Outcome, error) {
	release, err := c.beWaiter(ctx, false)
	if err != nil {
		return Outcome{}, err
	}
	defer release()
	return c.await(ctx)
}

// Serve is Await for a process that is there for nothing else. If another process waits
// already, Serve is there in case that one is killed.
func (c *Change) Serve(ctx context.Context) (Outcome, error) {
	release, err := c.beWaiter(ctx, true)
	if err != nil {
		return Outcome{}, err
	}
	defer release()
	return c.await(ctx)
}

func (c *Change) await(ctx context.Context) (Outcome, error) {
	events, stop, err := watch(c.dir)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return Outcome{}, err
	}
	defer stop()
	end := func() {}
	defer func() { end() }()
	for begun := false; ; {
		if o, over, err := c.outcome(); over || err != nil {
			return o, err
		}
		if c.waits && !begun {
			end, begun = c.guard(ctx)
		}
		left, err := c.tend(ctx)
		switch {
		case errors.Is(err, xdp.ErrNotPending):
			continue
		case ctx.Err() != nil:
			return Outcome{}, ctx.Err()
		case err != nil:
			left = again // it says in the record what is wrong
		}
		select {
		case <-ctx.Done():
			return Outcome{}, ctx.Err()
		case <-events:
		case <-time.After(left):
		}
	}
}

// suspended is how long a timer may be wrong after the machine has slept.
const suspended = 5 * time.Second

// tend does what is due: it takes a change back whose time is over or whose maker was
// killed, and goes on with an end whose process was killed. It says how long to wait before
// the next look.
func (c *Change) tend(ctx context.Context) (time.Duration, error) {
	rec, err := c.read()
	if err != nil || rec == nil {
		return 0, err
	}
	left := rec.Ends - sinceBoot()
	if rec.State == waiting && left <= 0 && !c.waits && rec.Guard != nil && c.waiter() != "" {
		return time.Second, nil // the process that runs the guard ends it
	}
	if rec.State == waiting && left > 0 {
		return min(left, suspended), nil
	}
	if rec.State == waiting && rec.Auto && c.lastLook != nil {
		c.lastLook() // which may take it back
	}
	_, err = c.ending(ctx, func(rec *record) (Outcome, error) {
		switch rec.State {
		case waiting:
			if rec.Ends > sinceBoot() {
				return Outcome{}, nil // it was being made when we looked
			}
			c.timeOver(ctx, rec)
		case making:
			rec.State, rec.Why = takingBack, whyKilled
		}
		return c.finish(ctx, rec)
	})
	return 0, err
}

// timeOver says in the record what becomes of a change whose time is over.
func (c *Change) timeOver(ctx context.Context, rec *record) {
	rec.State, rec.Why = takingBack, whyTime
	if !rec.Auto {
		return
	}
	if rec.Why = whyAlone; !c.waits {
		return
	}
	if rec.Why = rec.Guard.run(ctx); rec.Why == "" {
		rec.State, rec.Why = confirming, "its guard, which has not failed"
	}
}

// guard runs the guard of a change that is made, until end is called or the change ends. It
// says false if the change is still being made.
func (c *Change) guard(ctx context.Context) (end func(), begun bool) {
	rec, err := c.read()
	if err != nil || rec == nil || rec.State == making {
		return func() {}, false
	}
	if rec.Guard == nil {
		return func() {}, true
	}
	var names []string
	for _, is := range rec.interfaces() {
		names = append(names, is.Name)
	}
	ctx, cancel := context.WithCancel(ctx)
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		if why := rec.Guard.watch(ctx, names, rec.Limit, over); why != "" {
			_, _ = c.TakeBack(context.WithoutCancel(ctx), why) // if that fails, await tries again
		}
	}()
	c.lastLook = sync.OnceFunc(func() { close(over); <-done })
	return func() { cancel(); <-done }, true
}

// beWaiter takes the lock of the process that waits, and says so by writing to it. If another
// process has the lock, beWaiter waits for it if it must, and else goes without.
func (c *Change) beWaiter(ctx context.Context, must bool) (release func(), err error) {
	f, err := openLock(c.path("waiter"))
	if errors.Is(err, os.ErrNotExist) {
		return func() {}, nil // it has ended
	}
	if err != nil {
		return nil, err
	}
	if must {
		err = flock.Lock(ctx, int(f.Fd()))
	} else if busy, lockErr := locked(f); busy {
		return func() {}, f.Close()
	} else {
		err = lockErr
	}
	if err == nil {
		_, err = f.WriteAt([]byte(fmt.Sprintln(os.Getpid())), 0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	c.waits = true
	return func() { f.Close() }, nil
}

// waiter says which process waits for the end; empty: none does.
func (c *Change) waiter() string {
	f, err := os.Open(c.path("waiter"))
	if err != nil {
		return ""
	}
	defer f.Close()
	return flock.Holder(int(f.Fd()))
}

// watch tells of changes in a directory. A change that comes while nobody listens is kept.
func watch(dir string) (events <-chan struct{}, stop func(), err error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, func() {}, err
	}
	f := os.NewFile(uintptr(fd), "inotify")
	const what = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_TO | unix.IN_DELETE_SELF | unix.IN_MODIFY
	if _, err := unix.InotifyAddWatch(fd, dir, what); err != nil {
		f.Close()
		return nil, func() {}, err
	}
	told, ended := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for buffer := make([]byte, 4096); ; {
			if _, err := f.Read(buffer); err != nil {
				return
			}
			select {
			case told <- struct{}{}:
			default:
			}
		}
	}()
	return told, func() { f.Close(); <-ended }, nil
}
