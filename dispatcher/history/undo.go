package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/store"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Undo is the way back to what ran before a change.
type Undo struct {
	Record *Record                // of the change that is taken back, with all that came after it
	Loads  []Program              // what is loaded anew, as it was recorded
	Change dispatcher.Transaction // makes it so, in one swap; Add is Loads

	dir directory
}

// NewUndo works out how an interface gets back what ran before the change of that number; 0:
// before the last one. A program that still runs there, or on another interface, goes on with its
// maps and its id, at the place that it had. One that is gone is loaded anew from what was kept of it. NewUndo changes
// no chain. dir is as for [Read].
//
// Errors: [xdp.ErrNoInterface]; [xdp.ErrInvalid] for a number that isn't in the history of the
// interface; [xdp.ErrNotSource] for programs that can't be brought back, as another tool
// has loaded them; [xdp.ErrObject] for a copy that is gone or damaged; [xdp.ErrLegacy]
// for programs outside of a chain; [xdp.ErrBusy] while the change is still being made.
func NewUndo(ctx context.Context, dir, ifname string, number int) (*Undo, error) {
	if err := Look(ctx, dir); err != nil {
		return nil, err
	}
	now, err := dispatcher.Status(ctx, ifname)
	if err != nil {
		return nil, err
	}
	name := now.Interface.Name
	h, err := Read(dir, name)
	if err != nil {
		return nil, err
	}
	r, err := h.change(name, number)
	if err != nil {
		return nil, err
	}
	u := &Undo{Record: r, dir: directory(cmp.Or(dir, DefaultDir))}
	if err := u.plan(now, u.dir.store()); err != nil {
		return nil, err
	}
	return u, nil
}

// change is the record of that number, or the newest one of a change that was made.
func (h *History) change(ifname string, number int) (*Record, error) {
	for _, r := range h.Records {
		if number == 0 && r.changed() || number != 0 && r.Number == number {
			if r.Outcome == UnderWay {
				return nil, &xdp.Error{Kind: xdp.ErrBusy, Msg: fmt.Sprintf("process %d is changing %s right now", r.Process.ID, ifname), Remedy: "try again"}
			}
			if r.Before == nil {
				return nil, &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("nobody knows what ran on %s before change %d", ifname, r.Number),
					Remedy: "go back to a later change"}
			}
			return r, nil
		}
	}
	if number == 0 {
		return nil, &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("no change of %s is recorded", ifname)}
	}
	e := &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("the history of %s has no change %d", ifname, number)}
	if n := len(h.Records); n > 0 {
		e.Remedy = fmt.Sprintf("it has changes %d to %d", h.Records[n-1].Number, h.Records[0].Number)
	}
	return nil, e
}

// changed says whether the record is of a change that was made.
func (r *Record) changed() bool {
	return r.After != nil && !same(r.Before, r.After)
}

func (u *Undo) plan(now *dispatcher.Chain, kept store.Store) error {
	where, err := here()
	if err != nil {
		return err
	}
	// Another boot gives the ids of this one to other programs, often to those of the same names
	// and the same code.
	sameBoot := u.Record.Boot == where.boot
	is := func(p, q xdp.Loaded) bool { return sameBoot && p == q }
	want := u.Record.Before
	there := chainOf(now, func(xdp.Loaded) Source { return Source{} })
	if err := lone(now.Interface.Name, want, there, is); err != nil {
		return err
	}
	u.Change.Mode = xdp.ModeUnspecified
	if len(want.Programs) > 0 && want.Mode != nil {
		u.Change.Mode, u.Change.Version = *want.Mode, want.Version
		if u.Change.Version < 2 { // which xdpmux doesn't write
			u.Change.Version = 0
		}
	}
	var lost []string
	var errs []error
	for _, p := range want.Programs {
		if p.ID == 0 {
			continue // gone already then
		}
		if i := slices.IndexFunc(there.Programs, func(q Program) bool { return is(p.Loaded, q.Loaded) }); i >= 0 {
			if q := there.Programs[i]; q.Priority != p.Priority || q.Actions != p.Actions || q.Frags != p.Frags {
				u.Change.Set = append(u.Change.Set, dispatcher.Setting{ID: p.ID, Priority: &p.Priority, Actions: &p.Actions, Frags: &p.Frags})
			}
			continue
		}
		if sameBoot && loadedStill(p.Loaded) {
			u.Change.Link = append(u.Change.Link, dispatcher.Setting{ID: p.ID, Priority: &p.Priority, Actions: &p.Actions, Frags: &p.Frags})
			continue
		}
		if p.SHA256 == "" || p.Settings == "" {
			lost = append(lost, p.Loaded.String())
			continue
		}
		program, err := programFrom(kept, p.Source)
		if err != nil {
			errs = append(errs, unreadableCopy(p, err))
			continue
		}
		program.Priority, program.Actions, program.Frags = &p.Priority, &p.Actions, &p.Frags
		u.Loads, u.Change.Add = append(u.Loads, p), append(u.Change.Add, program)
	}
	if len(lost) > 0 {
		errs = append(errs, &xdp.Error{Kind: xdp.ErrNotSource,
			Msg: fmt.Sprintf("%s can't be brought back on %s: xdpmux has not loaded what is gone, so there is no copy of it",
				strings.Join(lost, ", "), now.Interface.Name),
			Remedy: "load it with the tool that had loaded it, or go back to a later change"})
	}
	for _, q := range there.Programs {
		if q.ID != 0 && !slices.ContainsFunc(want.Programs, func(p Program) bool { return is(p.Loaded, q.Loaded) }) {
			u.Change.Remove = append(u.Change.Remove, q.ID)
		}
	}
	return errors.Join(errs...)
}

// loadedStill says whether a program that isn't in the chain is loaded all the same, such as for
// another interface.
func loadedStill(p xdp.Loaded) bool {
	now, err := loaded.ByID(p.ID)
	return err == nil && now.Loaded == p && now.ProgType == libbpf.ProgTypeExt
}

// unreadableCopy is the error of a program of which what was kept can't be used.
func unreadableCopy(p Program, err error) error {
	kind := xdp.ErrSystem
	if errors.Is(err, xdp.ErrObject) {
		kind = xdp.ErrObject
	}
	e := &xdp.Error{Kind: kind, Err: err, Msg: fmt.Sprintf("%v can't be brought back: %v", p.Loaded, err)}
	if p.File != "" {
		e.Remedy = "it was loaded from " + p.File
	}
	return e
}

// lone looks at what isn't a chain. A program without a dispatcher, and an offloaded one, must be
// now what it was: a swap can't bring them back.
func lone(ifname string, want, there *Chain, is func(p, q xdp.Loaded) bool) error {
	for _, pair := range [][2]*Lone{{want.Legacy, there.Legacy}, {want.Hardware, there.Hardware}} {
		if pair[0] == nil && pair[1] == nil || pair[0] != nil && pair[1] != nil && is(pair[0].Loaded, pair[1].Loaded) {
			continue
		}
		e := &xdp.Error{Kind: xdp.ErrLegacy}
		if pair[0] != nil {
			e.Msg = fmt.Sprintf("%v ran on %s without a dispatcher, and can't be brought back", pair[0].Loaded, ifname)
			e.Remedy = "load it again, or go back to a later change"
			if pair[0].File != "" {
				e.Remedy = fmt.Sprintf("load it again from %s, or go back to a later change", pair[0].File)
			}
		} else {
			e.Msg = fmt.Sprintf("%v runs on %s without a dispatcher, and is in the way", pair[1].Loaded, ifname)
			_ = e.Advise("unload it first: %v", xdp.Hint{To: xdp.HintDetach, Interface: ifname})
		}
		return e
	}
	return nil
}
