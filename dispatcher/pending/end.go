package pending

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Outcome is how a change has ended.
type Outcome struct {
	Confirmed bool               `json:"confirmed"`
	Why       string             `json:"why"`            // who confirmed it, or why it was taken back; empty: nothing was changed
	Back      []*dispatcher.Back `json:"back"`           // what was done to each interface to take it back
	Gone      []string           `json:"gone,omitempty"` // interfaces that are gone, so that there was nothing to take back
}

// TakenBack says whether the interfaces have what they had before, as far as that was
// possible.
func (o Outcome) TakenBack() bool { return !o.Confirmed && o.Why != "" }

// BackNames are the names of the interfaces of Back.
func (o Outcome) BackNames() []string {
	names := make([]string, len(o.Back))
	for i, b := range o.Back {
		names[i] = b.Interface.Name
	}
	return names
}

// errEnded says that a change has ended meanwhile.
var errEnded = &xdp.Error{Kind: xdp.ErrNotPending, Msg: "the change has ended meanwhile"}

// Confirm makes the change last, and lets go of what was there before. by says who confirms
// it. If the change has ended already, the error is of kind [xdp.ErrNotPending].
func (c *Change) Confirm(ctx context.Context, by string) (Outcome, error) {
	return c.ending(ctx, func(rec *record) (Outcome, error) {
		if rec.State == making {
			return Outcome{}, &xdp.Error{Kind: xdp.ErrInvalid, Msg: "the change was not made whole, so it can only be taken back"}
		}
		rec.State, rec.Why = confirming, by
		return c.finish(ctx, rec)
	})
}

// TakeBack puts back what was there before the change, as [dispatcher.PutBack] does. why
// says why. If the change has ended already, the error is of kind [xdp.ErrNotPending]. If it
// can't be taken back now, the change stays pending, and TakeBack can be called again.
func (c *Change) TakeBack(ctx context.Context, why string) (Outcome, error) {
	return c.ending(ctx, func(rec *record) (Outcome, error) {
		if rec.State != takingBack { // else another process has begun it, and said why
			rec.State, rec.Why = takingBack, why
		}
		return c.finish(ctx, rec)
	})
}

// ending calls f with the record, while nobody else ends the change.
func (c *Change) ending(ctx context.Context, f func(*record) (Outcome, error)) (Outcome, error) {
	lock, err := c.take(ctx)
	if errors.Is(err, os.ErrNotExist) {
		return Outcome{}, errEnded
	}
	if err != nil {
		return Outcome{}, err
	}
	defer lock.Close()
	rec, err := c.read()
	if err != nil {
		return Outcome{}, err
	}
	if rec == nil {
		return Outcome{}, errEnded
	}
	netns, err := netnsInode()
	if err != nil {
		return Outcome{}, err
	}
	if netns != rec.Netns {
		return Outcome{}, &xdp.Error{Kind: xdp.ErrInvalid, Msg: "the change is one of another network namespace", Remedy: "end it from there"}
	}
	return f(rec)
}

// finish does what the record's state says, whoever has begun it.
func (c *Change) finish(ctx context.Context, rec *record) (Outcome, error) {
	if err := c.write(rec); err != nil && rec.State == confirming {
		return Outcome{}, err
	}
	o := Outcome{Confirmed: rec.State == confirming, Why: rec.Why, Back: []*dispatcher.Back{}}
	if !o.Confirmed {
		var errs []error
		for _, h := range slices.Backward(rec.Held) {
			back, err := h.putBack(ctx)
			switch {
			case errors.Is(err, xdp.ErrNoInterface):
				o.Gone = append(o.Gone, h.Before.Interface.Name)
			case err != nil:
				errs = append(errs, fmt.Errorf("%s: %w", h.Before.Interface.Name, err))
			default:
				o.Back = append(o.Back, back)
			}
		}
		if err := errors.Join(errs...); err != nil {
			rec.Failed = err.Error()
			return Outcome{}, errors.Join(err, c.write(rec))
		}
	}
	return o, c.end(ctx, rec, o)
}

// putBack takes the change of one interface back.
func (h held) putBack(ctx context.Context) (*dispatcher.Back, error) {
	back, err := dispatcher.PutBack(ctx, h.Before, h.After)
	if err != nil {
		return nil, err
	}
	if err := h.Records.Restore(); err != nil {
		back.Left = fmt.Sprintf("the records of what runs could not be written: %v", err)
	}
	var runs []uint32
	for _, p := range h.Before.Programs {
		runs = append(runs, p.ID)
	}
	loaded.RemoveMapPins(ctx, h.MapPins, h.MapDirs, runs)
	return back, nil
}

// end writes the outcome down for those who wait for it, and removes all else. From the
// removal of the record on the change is over. If this is killed, [Tend] removes the rest.
func (c *Change) end(ctx context.Context, rec *record, o Outcome) error {
	data, err := json.Marshal(o)
	if err == nil {
		_, err = c.file.WriteAt(data, 0)
	}
	if err != nil {
		return cantWrite(err)
	}
	if err := os.Remove(c.path("record.json")); err != nil {
		return cantWrite(err)
	}
	var errs []error
	for _, h := range rec.Held {
		errs = append(errs, dispatcher.Forget(ctx, h.Before))
	}
	return errors.Join(append(errs, os.RemoveAll(c.dir))...)
}

// outcome is how the change has ended, if it is over. The file of the lock is open, so the
// outcome can be read when its directory is gone.
func (c *Change) outcome() (o Outcome, over bool, err error) {
	if _, err := os.Lstat(c.path("record.json")); err == nil {
		return o, false, nil
	}
	data, err := io.ReadAll(io.NewSectionReader(c.file, 0, 1<<20))
	if err != nil {
		return o, true, err
	}
	if err := json.Unmarshal(data, &o); err != nil {
		return o, true, errEnded // and nobody could write down how
	}
	return o, true, nil
}
