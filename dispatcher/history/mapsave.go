package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/store"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// maxSaved is how many bytes of keys and values of all maps one change looks at.
const maxSaved = 4 << 20

// savedMap is what a map held when its program was removed.
type savedMap struct {
	Map     string         `json:"map"`
	Why     string         `json:"why,omitempty"`  // why that isn't saved
	CPUs    int            `json:"cpus,omitempty"` // for which each value has one of its own; 0: it isn't a per-CPU map
	Entries []xdp.MapEntry `json:"entries,omitempty"`
}

// leaving is a program that changes remove, with its maps held open. So they can be read after
// the change, when no packet changes them any more.
type leaving struct {
	program xdp.Loaded
	maps    []leavingMap
	err     error // why some are missing
	users   int   // changes that read them still
}

// leavings are the programs that changes remove. Many interfaces may lose the same one: it is looked at once.
type leavings map[xdp.Loaded]*leaving

// closeUnused closes those that no change reads, unless spared has them.
func (all leavings) closeUnused(spared map[xdp.Loaded]Source) {
	for p, l := range all {
		if _, ok := spared[p]; !ok && l.users == 0 {
			l.close()
			delete(all, p)
		}
	}
}

func (l *leaving) close() {
	for _, m := range l.maps {
		if m.open != nil {
			m.open.Close()
		}
	}
}

type leavingMap struct {
	savedMap
	open   *maps.Map // nil: Why says why it isn't read
	zeroes bool      // a new one holds zeroes too
}

// leave opens the maps of the programs that a change is about to remove, of those that an undo
// can load again. all are those that the last change has left, too.
func (c *change) leave(all leavings) error {
	c.closeMaps()
	var errs []error
	stays := c.planned.loaded()
	for _, p := range c.Before.Programs {
		if _, ok := stays[p.Loaded]; ok || p.SHA256 == "" || p.ID == 0 {
			continue
		}
		l := all[p.Loaded]
		if l == nil {
			l = leave(p.Loaded)
			all[p.Loaded] = l
		}
		if errors.Is(l.err, xdp.ErrPermission) {
			return l.err // it is the same for all
		}
		errs = append(errs, l.err)
		if len(l.maps) > 0 {
			l.users++
			c.leaves = append(c.leaves, l)
		}
	}
	all.closeUnused(c.Before.loaded())
	return errors.Join(errs...)
}

func leave(p xdp.Loaded) *leaving {
	l := &leaving{program: p}
	all, err := object.MapsOfID(p.ID)
	if err != nil {
		l.err = err
		return l
	}
	var errs []error
	for _, m := range all {
		if m.Constant() {
			continue
		}
		name, certain := m.DeclaredName()
		one := leavingMap{savedMap: savedMap{Map: name}}
		switch {
		case !certain:
			one.Why = "the kernel knows only the beginning of its name"
		case m.Flags&(unix.BPF_F_RDONLY|unix.BPF_F_WRONLY) != 0:
			one.Why = "only programs may write to it, or read it"
		default:
			if one.open, err = maps.OpenID(m.ID); err != nil {
				errs = append(errs, err)
				continue
			}
			one.Why, one.CPUs = notSaved(one.open), one.open.CPUs()
			one.zeroes = !m.Variables() && (one.open.Type == "array" || one.open.Type == "percpu_array")
		}
		l.maps = append(l.maps, one)
	}
	l.err = errors.Join(errs...)
	return l
}

// notSaved says why what a map holds would mean nothing in a new one; empty: it would mean the
// same.
func notSaved(m *maps.Map) string {
	switch m.Type {
	case "hash", "array", "percpu_hash", "percpu_array", "lru_hash", "lru_percpu_hash", "lpm_trie":
		return ""
	case "prog_array":
		return "it holds programs, and gets those of the object"
	}
	if err := m.Readable(); err != nil {
		return "nobody can read a map of type " + m.Type
	}
	return "what a map of type " + m.Type + " holds may be gone by then"
}

// save keeps what the maps held of the programs that the change has removed, and notes it in the
// record.
func (c *change) save(ctx context.Context, kept *store.Keeper, referred func(string) bool) error {
	defer c.closeMaps()
	var errs []error
	left := maxSaved
	for _, l := range c.leaves {
		var saved []savedMap
		for _, m := range l.maps { // each change has its own entries
			if m.open != nil && m.Why == "" {
				errs = append(errs, m.read(ctx, &left))
			}
			saved = append(saved, m.savedMap)
		}
		text, err := json.Marshal(saved)
		if err != nil {
			return err
		}
		digest, err := kept.Put(text, referred)
		if err != nil {
			return err
		}
		c.Saved = append(c.Saved, Saved{l.program.ID, digest})
	}
	return errors.Join(errs...)
}

// read reads the entries of a map, as long as they have no more bytes than left.
func (m *leavingMap) read(ctx context.Context, left *int) error {
	rest := *left
	err := m.open.Scan(ctx, func(key, value []byte) bool {
		if rest -= len(key) + len(value); rest < 0 {
			m.Entries, m.Why = nil, fmt.Sprintf("with it, more than %d MiB would be saved of the programs that the change removed", maxSaved>>20)
			return false
		}
		if !m.zeroes || slices.ContainsFunc(value, func(b byte) bool { return b != 0 }) {
			m.Entries = append(m.Entries, xdp.MapEntry{Map: m.Map, Key: slices.Clone(key), Value: slices.Clone(value)})
		}
		return true
	})
	switch {
	case err != nil:
		m.Entries, m.Why = nil, "it could not be read"
	case m.Why == "":
		*left = rest
	}
	return err
}

// closeMaps has the change read no maps any more. They stay open for the next one.
func (c *change) closeMaps() {
	for _, l := range c.leaves {
		l.users--
	}
	c.leaves = nil
}
