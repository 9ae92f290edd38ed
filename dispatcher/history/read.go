package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// History is what is recorded.
type History struct {
	Records []*Record // the newest first
	Damaged int       // lines that can't be read, such as half of one that was being written when the power went
}

// Read returns the records in dir; empty: in [DefaultDir]. ifnames chooses interfaces of the
// calling thread's network namespace; without them it is all of all. Errors:
// [xdp.ErrPermission], [xdp.ErrSystem].
func Read(dir string, ifnames ...string) (*History, error) {
	d := directory(cmp.Or(dir, DefaultDir))
	where, err := here()
	if err != nil {
		return nil, err
	}
	log, _, err := d.read(2 * maxSize)
	if err != nil {
		return nil, unreadable(err)
	}
	h := &History{}
	h.Records, h.Damaged = log.records()
	h.Records = slices.DeleteFunc(h.Records, func(r *Record) bool {
		return len(ifnames) > 0 && (r.Netns != where.netns || !slices.Contains(ifnames, r.Interface.Name))
	})
	for _, r := range h.Records {
		if r.Outcome == UnderWay && (r.Boot != where.boot || !r.Process.runs()) {
			r.Outcome = Interrupted
		}
	}
	return h, nil
}

func unreadable(err error) error {
	kind, remedy := xdp.ErrSystem, ""
	if errors.Is(err, fs.ErrPermission) {
		kind, remedy = xdp.ErrPermission, "it is root's alone: run as root"
	}
	return &xdp.Error{Kind: kind, Err: err, Msg: fmt.Sprintf("can't read the history: %v", err), Remedy: remedy}
}

// Look records what other tools have changed since the last record, on all interfaces of the
// calling thread's network namespace. dir is as for [Read].
func Look(ctx context.Context, dir string) error {
	d := directory(cmp.Or(dir, DefaultDir))
	where, err := here()
	if err != nil {
		return err
	}
	log := newWriter(d)
	defer log.close()
	unlock, err := log.lock(ctx)
	if err != nil {
		return unreadable(err)
	}
	defer unlock()
	chains, err := dispatcher.StatusAll(ctx)
	if err != nil {
		return err
	}
	if err := log.update(); err != nil {
		return unreadable(err)
	}
	highest := log.highest
	var found []*Record
	for _, c := range chains {
		if c.Err != nil {
			continue
		}
		where.index = c.Interface.Index
		last, err := log.last(where, 0)
		if err != nil {
			return unreadable(err)
		}
		m := missed(ctx, last, where, c)
		if m == nil {
			continue
		}
		if m.Number == 0 {
			highest++
			m.Number = highest
		}
		found = append(found, m)
	}
	if len(found) == 0 {
		return nil
	}
	if err := log.append(lazily, highest, found...); err != nil {
		return unreadable(err)
	}
	for _, r := range found {
		journal(r)
	}
	return nil
}

// Object is the copy that was kept of the object which a running program was loaded from. dir is
// as for [Read]. Errors: [xdp.ErrNotSource] if no record knows it, [xdp.ErrObject] if the copy is
// gone or damaged, and those of Read.
func Object(dir string, p xdp.Loaded) ([]byte, error) {
	where, err := here()
	if err != nil {
		return nil, err
	}
	h, err := Read(dir)
	if err != nil {
		return nil, err
	}
	for _, r := range h.Records {
		if s := r.After.loaded()[p]; r.Boot == where.boot && s.SHA256 != "" {
			return directory(cmp.Or(dir, DefaultDir)).store().Get(s.SHA256)
		}
	}
	return nil, &xdp.Error{Kind: xdp.ErrNotSource, Msg: fmt.Sprintf("the history doesn't say what %v was loaded from", p)}
}
