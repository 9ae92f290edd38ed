package pending

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Info is what is known of a change that is pending.
type Info struct {
	ID         string          `json:"id"`
	Interfaces []xdp.Interface `json:"interfaces"`
	By         string          `json:"by"`
	Command    string          `json:"command"`
	Ends       time.Time       `json:"ends"`             // when it is taken back; zero: it is being made
	Waiter     string          `json:"waiter"`           // the process that waits, such as "process 12 (xdpmux)"; empty: it was killed
	Failed     string          `json:"failed,omitempty"` // why it could not be taken back yet
}

// List are the changes of this network namespace that are pending. Where the caller may not
// look, there are none for it.
func List() ([]Info, error) {
	changes, records, err := here()
	if errors.Is(err, xdp.ErrPermission) {
		err = nil
	}
	infos := []Info{}
	for i, c := range changes {
		rec := records[i]
		info := Info{ID: c.ID, Interfaces: rec.interfaces(), By: rec.By, Command: rec.Command, Waiter: c.waiter(), Failed: rec.Failed}
		if rec.Ends != 0 {
			info.Ends = time.Now().Add(rec.Ends - sinceBoot()).Round(time.Millisecond)
		}
		infos = append(infos, info)
	}
	return infos, err
}

// Open opens the change with that id. Close lets go of it. Errors: [xdp.ErrNotPending].
func Open(id string) (*Change, error) {
	found, err := all()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(found, func(c *Change) bool { return c.ID == id })
	if i < 0 {
		return nil, errEnded
	}
	return found[i], found[i].open()
}

// open opens the file of the lock, without taking it.
func (c *Change) open() (err error) {
	if c.file, err = openLock(c.path("lock")); os.IsNotExist(err) {
		return errEnded
	}
	return err
}

// Find opens the change that is pending on an interface. Without a name it is the only one
// that is pending in this network namespace. Errors: [xdp.ErrNotPending], and
// [xdp.ErrInvalid] if it isn't clear which one is meant.
func Find(ifname string) (*Change, error) {
	changes, records, err := here()
	if err != nil {
		return nil, err
	}
	var found []*Change
	var names []string
	for i, rec := range records {
		for _, is := range rec.interfaces() {
			if names = append(names, is.Name); is.Name == ifname {
				return changes[i], changes[i].open()
			}
		}
		if ifname == "" && len(rec.Held) > 0 {
			found = append(found, changes[i])
		}
	}
	switch {
	case len(found) == 1:
		return found[0], found[0].open()
	case len(found) > 1:
		return nil, &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("%d changes wait to be confirmed", len(found)),
			Remedy: "name an interface of the one that is meant: " + strings.Join(names, ", ")}
	case ifname == "":
		return nil, &xdp.Error{Kind: xdp.ErrNotPending, Msg: "no change waits to be confirmed"}
	}
	e := &xdp.Error{Kind: xdp.ErrNotPending, Msg: "no change of " + ifname + " waits to be confirmed"}
	if len(names) > 0 {
		e.Remedy = "one is pending on " + strings.Join(names, ", ")
	}
	return nil, e
}

// Noticed is what [Tend] has found and done.
type Noticed struct {
	Interfaces []xdp.Interface
	Outcome    Outcome
	Ended      bool  // else another process waits now
	Err        error // why it could be neither
}

// Tend looks for changes of this network namespace for which nobody waits, as the process
// that did was killed. It ends those whose time is over and those that were being made or
// ended, and calls startWaiter for each of the others. It removes what is left of changes
// that have ended. Where the caller may not look, it does nothing.
func Tend(ctx context.Context, startWaiter func(id string) error) ([]Noticed, error) {
	found, err := all()
	if errors.Is(err, xdp.ErrPermission) {
		return nil, nil
	}
	if err != nil || len(found) == 0 {
		return nil, err
	}
	if err := removeLeftovers(ctx); err != nil {
		return nil, err
	}
	changes, records, err := here()
	if err != nil {
		return nil, err
	}
	var all []Noticed
	for i, c := range changes {
		if c.waiter() != "" || c.open() != nil {
			continue
		}
		if noticed := c.orphaned(ctx, records[i], startWaiter); noticed != nil {
			all = append(all, *noticed)
		}
		c.Close()
	}
	return all, nil
}

// orphaned ends a change for which nobody waits, or has a new process wait. nil: there was
// nothing to do.
func (c *Change) orphaned(ctx context.Context, rec *record, startWaiter func(id string) error) *Noticed {
	if busy, err := c.busy(); busy || err != nil {
		return nil // it is being made or ended
	}
	n := &Noticed{Interfaces: rec.interfaces()}
	left, err := c.tend(ctx)
	if n.Err = err; errors.Is(err, xdp.ErrNotPending) {
		return nil
	} else if left == 0 && err == nil {
		n.Outcome, n.Ended, n.Err = c.outcome()
	} else if err == nil {
		n.Err = c.startWaiter(ctx, startWaiter)
	}
	return n
}

// startWaiter has start start a process that waits, and waits until it does.
func (c *Change) startWaiter(ctx context.Context, start func(id string) error) error {
	events, stop, err := watch(c.dir)
	if err != nil {
		return err
	}
	defer stop()
	if err := start(c.ID); err != nil {
		return noWaiter(err)
	}
	limit := time.After(startLimit)
	for c.waiter() == "" {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-events:
		case <-limit:
			return noWaiter(fmt.Errorf("it did not begin within %v", startLimit))
		}
	}
	return nil
}

// startLimit is how long a process may take to start.
const startLimit = 20 * time.Second

func noWaiter(err error) error {
	return &xdp.Error{Kind: xdp.ErrSystem, Err: err, Msg: fmt.Sprintf("can't start the process that waits for a confirmation: %v", err)}
}

// removeLeftovers removes the directories of changes that were killed before they had a
// record, or after they had ended, and with them what these have kept.
func removeLeftovers(ctx context.Context) error {
	unlock, err := lockAll(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	found, err := all()
	if err != nil {
		return err
	}
	left := false
	for _, c := range found {
		rec, err := c.read()
		if err != nil {
			return err
		}
		if rec != nil {
			continue
		}
		if busy, err := c.busy(); busy || err != nil {
			continue
		}
		if err := os.RemoveAll(c.dir); err != nil {
			return err
		}
		left = true
	}
	if !left {
		return nil
	}
	_, err = forget(ctx, false)
	return err
}

// Clean removes what changes have kept that are pending no more: they were killed at their
// end. It lists the directories of pins. dryRun only lists them.
func Clean(ctx context.Context, dryRun bool) ([]string, error) {
	unlock, err := lockAll(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return forget(ctx, dryRun)
}

// forget removes all pins that no record names.
func forget(ctx context.Context, dryRun bool) ([]string, error) {
	found, err := all()
	if err != nil {
		return nil, err
	}
	var needed []*dispatcher.Chain
	for _, c := range found {
		rec, err := c.read()
		if err != nil {
			return nil, err
		}
		if rec == nil {
			continue
		}
		for _, h := range rec.Held {
			needed = append(needed, h.Before)
		}
	}
	return dispatcher.ForgetAllBut(ctx, dryRun, needed)
}

// busy says whether a process makes or ends the change right now.
func (c *Change) busy() (bool, error) {
	f, err := os.OpenFile(c.path("lock"), os.O_RDWR, 0)
	if os.IsNotExist(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	return locked(f)
}
