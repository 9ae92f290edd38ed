package pending

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/internal/flock"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Longest is the longest time that a change can wait to be confirmed.
const Longest = 24 * time.Hour

// Options says how a change waits to be confirmed.
type Options struct {
	Time    time.Duration // for how long, up to Longest; from Made on
	By      string        // who makes it, such as "root"
	Command string        // by what, such as "xdpmux load eth0 filter.o"

	// Guard takes the change back before its time is over; nil: nothing does.
	Guard *Guard

	// Interfaces are those whose drops the guard measures before the change.
	Interfaces []string

	// Auto confirms the change when its time is over and the guard has not failed.
	Auto bool

	// StartWaiter starts a process that calls Await of the change with that id. Begin calls
	// it, and waits until that process waits. nil: the calling process is the one that waits.
	StartWaiter func(id string) error
}

// Change is a change that waits to be confirmed, or that has ended.
type Change struct {
	ID string

	dir    string
	file   *os.File // that of the lock, not locked
	waits  bool     // this process is the one that waits
	making *os.File // the same, locked while the change is being made; nil: it isn't by this process

	lastLook func() // has the guard that this process runs look for the last time; nil: it runs none
}

// Begin starts a change. It changes nothing: what calls [Change.Hold] does, until
// [Change.Made]. Close lets go of it. Errors: [xdp.ErrInvalid], [xdp.ErrSystem] where nothing
// can be written down or no process can be started that waits. A guard that fails already
// before the change is [xdp.ErrInvalid].
func Begin(ctx context.Context, opts Options) (*Change, error) {
	if opts.Time <= 0 || opts.Time > Longest {
		return nil, &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("a change can't wait %v to be confirmed", opts.Time), Remedy: "give a time up to 24 hours"}
	}
	if err := opts.Guard.ready(ctx, opts.Interfaces); err != nil {
		return nil, err
	}
	c, err := begin(ctx, opts)
	if err != nil || opts.StartWaiter == nil {
		return c, err
	}
	if err := c.startWaiter(ctx, opts.StartWaiter); err != nil {
		os.RemoveAll(c.dir)
		c.Close()
		return nil, err
	}
	return c, nil
}

// begin makes the directory of a change, with its lock taken.
func begin(ctx context.Context, opts Options) (_ *Change, err error) {
	netns, err := netnsInode()
	if err != nil {
		return nil, err
	}
	unlock, err := lockAll(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	dir, err := os.MkdirTemp(base, "")
	if err != nil {
		return nil, cantWrite(err)
	}
	c := &Change{ID: filepath.Base(dir), dir: dir}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
			c.Close()
		}
	}()
	if c.file, err = openLock(c.path("lock")); err != nil {
		return nil, cantWrite(err)
	}
	if c.making, err = c.take(ctx); err != nil {
		return nil, err
	}
	return c, c.write(&record{State: making, By: opts.By, Command: opts.Command, Netns: netns, Limit: opts.Time, Guard: opts.Guard, Auto: opts.Auto})
}

// take takes the lock of the change, which closing the file lets go of. The error is
// [os.ErrNotExist] if the change has ended.
func (c *Change) take(ctx context.Context) (*os.File, error) {
	f, err := openLock(c.path("lock"))
	if err != nil {
		return nil, err
	}
	if err := flock.Lock(ctx, int(f.Fd())); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Close lets go of what the process has open of the change; the change goes on. It is
// idempotent.
func (c *Change) Close() error {
	c.file.Close()
	c.making.Close()
	return nil
}

// Hold is what keeps what an interface has before that is changed, for as long as ctx lasts.
// Use it as Changing of [dispatcher.Transaction], [dispatcher.AttachOptions],
// [dispatcher.DetachOptions] and [desired.Options]. It refuses an interface on which another
// change is pending ([xdp.ErrPending]).
func (c *Change) Hold(ctx context.Context) func(*dispatcher.Changing) error {
	return func(is *dispatcher.Changing) error { return c.hold(ctx, is) }
}

func (c *Change) hold(ctx context.Context, is *dispatcher.Changing) error {
	if is.Hardware {
		return is.Keep(ctx) // which says why that is impossible
	}
	unlock, err := lockAll(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	index := is.Before.Interface.Index
	if other, rec, err := on(index); err != nil {
		return err
	} else if other != nil && other.ID != c.ID {
		return refused(is.Before.Interface.Name, rec)
	}
	rec, err := c.read()
	if err != nil {
		return err
	}
	if rec == nil || rec.State != making {
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: "the change is made already, or has ended"}
	}
	h := held{Before: is.Before, After: is.After, MapPins: is.MapPins, MapDirs: is.MapDirs}
	i := slices.IndexFunc(rec.Held, func(h held) bool { return h.is(index) })
	var stale *dispatcher.Chain
	if i >= 0 {
		was := rec.Held[i]
		h.MapPins, h.MapDirs = append(was.MapPins, h.MapPins...), append(was.MapDirs, h.MapDirs...)
		if was.After.MainID() == h.Before.MainID() { // a second step of this change
			h.Before, h.Records = was.Before, was.Records
			rec.Held[i] = h
			return c.write(rec)
		}
		stale = was.Before // a lost race is started over
		rec.Held = slices.Delete(rec.Held, i, i+1)
	}
	if h.Records, err = desired.KeepRecords(h.Before); err != nil {
		return err
	}
	if err := is.Keep(ctx); err != nil {
		return err
	}
	rec.Held = append(rec.Held, h)
	if err := c.write(rec); err != nil {
		return errors.Join(err, dispatcher.Forget(ctx, h.Before))
	}
	if stale != nil && stale.MainID() != h.Before.MainID() {
		return dispatcher.Forget(ctx, stale)
	}
	return nil
}

// Refuse is the Changing of a change that is not to be confirmed. It refuses an interface on
// which one is pending ([xdp.ErrPending]), and any if the caller may not see what is pending
// ([xdp.ErrPermission]).
func Refuse(is *dispatcher.Changing) error {
	_, rec, err := on(is.Before.Interface.Index)
	if err != nil || rec == nil {
		return err
	}
	return refused(is.Before.Interface.Name, rec)
}

func refused(ifname string, rec *record) error {
	ends := "it is being made"
	if rec.Ends != 0 {
		ends = "it is taken back " + rec.end()
	}
	return (&xdp.Error{Kind: xdp.ErrPending, Msg: fmt.Sprintf("a change of %s waits to be confirmed, made by %s (%s); %s", ifname, rec.By, rec.Command, ends)}).
		Advise("end that first: %v, or %v", xdp.Hint{To: xdp.HintConfirm, Interface: ifname}, xdp.Hint{To: xdp.HintTakeBack, Interface: ifname})
}

// end says when the time is over.
func (r *record) end() string {
	left := max(r.Ends-sinceBoot(), 0)
	return fmt.Sprintf("at %s, in %v", time.Now().Add(left).Format("15:04:05"), left.Round(time.Second))
}

// Made says that all is changed, and starts the time. It says false if the interfaces have
// what they had, so that there is nothing to confirm; then the change has ended.
func (c *Change) Made(ctx context.Context) (bool, error) {
	defer c.making.Close()
	rec, err := c.read()
	if err != nil {
		return false, err
	}
	if rec == nil {
		return false, errEnded
	}
	// A change that failed, or that lost a race, was held all the same.
	unchanged := []held{}
	rec.Held = slices.DeleteFunc(rec.Held, func(h held) bool {
		now, err := dispatcher.Status(ctx, h.Before.Interface.Name)
		same := err == nil && now.MainID() == h.Before.MainID() && now.Interface.Index == h.Before.Interface.Index
		if same {
			unchanged = append(unchanged, h)
		}
		return same
	})
	if len(rec.Held) == 0 {
		rec.Held = unchanged
		return false, c.end(ctx, rec, Outcome{})
	}
	rec.State, rec.Ends = waiting, sinceBoot()+rec.Limit
	if err := c.write(rec); err != nil {
		return false, err
	}
	for _, h := range unchanged {
		if err := dispatcher.Forget(ctx, h.Before); err != nil {
			return true, err
		}
	}
	return true, nil
}
