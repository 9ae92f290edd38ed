package desired

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher/inspect"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// target is an interface with all that the state wants of it. It exists, or the state names
// it.
type target struct {
	name     string
	named    bool      // itself, not only by a pattern
	mode     *xdp.Mode // nil: the state doesn't say
	programs []Program
}

// targets are the interfaces that s is about, in the order of s. Several entries
// about one interface add up. Errors: [xdp.ErrInvalid] for entries that
// contradict each other.
func (s *State) targets(names []string) ([]*target, error) {
	var all []*target
	byName := map[string]*target{}
	for _, iface := range s.Interfaces {
		matches := []string{iface.literal()}
		if iface.pattern() {
			matches = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !iface.stands(name) })
		}
		for _, name := range matches {
			t := byName[name]
			if t == nil {
				t = &target{name: name}
				all, byName[name] = append(all, t), t
			}
			t.named = t.named || !iface.pattern()
			if err := t.add(iface); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// targetsOf are these interfaces, whether the state names them or not.
func (s *State) targetsOf(names []string) ([]*target, error) {
	all := make([]*target, len(names))
	for i, name := range names {
		all[i] = &target{name: name}
		for _, iface := range s.Interfaces {
			if !iface.stands(name) {
				continue
			}
			all[i].named = all[i].named || !iface.pattern()
			if err := all[i].add(iface); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// Wants says whether the state names an interface, itself or by a pattern. Errors:
// [xdp.ErrInvalid] if its entries about that interface contradict each other.
func (s *State) Wants(ifname string) (bool, error) {
	if _, err := s.targetsOf([]string{ifname}); err != nil {
		return true, err
	}
	return slices.ContainsFunc(s.Interfaces, func(i Interface) bool { return i.stands(ifname) }), nil
}

// add adds what an entry of the state says of the interface.
func (t *target) add(iface Interface) error {
	if iface.Mode != nil {
		if t.mode != nil && *t.mode != *iface.Mode {
			return invalid(iface.where, "%s mode is wanted of %s, and %s mode elsewhere", *iface.Mode, t.name, *t.mode)
		}
		t.mode = iface.Mode
	}
	for _, p := range iface.Programs {
		i := slices.IndexFunc(t.programs, func(o Program) bool { return o.Name == p.Name })
		if i >= 0 {
			err := invalid(p.where, "%s has two programs %q", t.name, p.Name)
			if other := t.programs[i].where; other != "" {
				err.Remedy = "the other is at " + other
			}
			return err
		}
		t.programs = append(t.programs, p)
	}
	return nil
}

// attachMode is the mode of the chain: a new one is attached in it, and one that is there
// must be in it. If no program is wanted, the mode doesn't matter.
func (t *target) attachMode() xdp.Mode {
	switch {
	case len(t.programs) == 0:
		return xdp.ModeUnspecified
	case t.mode == nil:
		return xdp.ModeNative
	}
	return *t.mode
}

// interfaceNames are those of the calling thread's network namespace.
func interfaceNames() ([]string, error) {
	all, err := device.Interfaces()
	if err != nil {
		return nil, err
	}
	names := make([]string, len(all))
	for i, iface := range all {
		names[i] = iface.Name
	}
	return names, nil
}

// objects remembers object files and what was found out about them, because a pattern names
// one file for many interfaces. A file is read once: so all interfaces get the same bytes,
// and those of the digest, whatever becomes of the file meanwhile.
type objects struct {
	files       map[string][]byte
	digests     map[string]string // of files
	inspections map[string]*inspect.Object
	specimens   map[string]*object.Specimen // by what they are made from
}

func newObjects() *objects {
	return &objects{map[string][]byte{}, map[string]string{}, map[string]*inspect.Object{}, map[string]*object.Specimen{}}
}

func (o *objects) close() {
	for _, s := range o.specimens {
		s.Close()
	}
}

// resolve fills in what the file leaves open.
func (o *objects) resolve(ctx context.Context, p Program) (*wanted, error) {
	var err error
	if p.Object, err = absolute(p.Object); err != nil {
		return nil, err
	}
	object, err := o.inspect(ctx, p.Object, p.fetched)
	if err != nil {
		return nil, locate(p.where, err)
	}
	said, err := choose(object, p)
	if err != nil {
		return nil, err
	}
	w := &wanted{entry: p, data: o.files[p.Object], function: said.Name, place: Place{said.Priority, said.Actions, said.Frags}}
	if p.Priority != nil {
		w.place.Priority = *p.Priority
	}
	if p.Actions != nil {
		w.place.Actions = *p.Actions
	}
	if p.Frags != nil {
		w.place.Frags = *p.Frags
	}
	for _, name := range slices.Sorted(maps.Keys(p.MapSizes)) {
		if !slices.ContainsFunc(object.Maps, func(m inspect.ObjectMap) bool { return m.Name == name }) {
			return nil, noMap(p, name, object.Maps)
		}
	}
	if w.contents, err = encodeMaps(p, object.Maps); err != nil {
		return nil, err
	}
	if w.variables, err = encodeVariables(p, w.data); err != nil {
		return nil, err
	}
	if w.calls, err = o.tailCalls(ctx, p); err != nil {
		return nil, locate(p.where, err)
	}
	if w.metadata, err = metadataOf(w, said); err != nil {
		return nil, locate(p.where, err)
	}
	if w.digest, err = o.digest(w); err != nil {
		return nil, err
	}
	return w, nil
}

// metadataOf are the functions by which a program asks the driver for metadata on this kernel.
func metadataOf(w *wanted, said *inspect.ObjectProgram) ([]string, error) {
	if len(said.Metadata) == 0 {
		return nil, nil
	}
	return object.MetadataHere(w.entry.Object, w.data, w.function)
}

// tailCalls are the programs that arrays are to hold, in the order of the arrays' names and of
// their slots.
func (o *objects) tailCalls(ctx context.Context, p Program) (all []xdp.TailCall, err error) {
	for _, name := range slices.Sorted(maps.Keys(p.TailCalls)) {
		calls := slices.SortedFunc(slices.Values(p.TailCalls[name]), func(a, b TailCall) int { return cmp.Compare(a.Slot, b.Slot) })
		for i, c := range calls {
			if i > 0 && calls[i-1].Slot == c.Slot {
				return nil, &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("slot %d of %s is to hold two programs", c.Slot, name)}
			}
			call := xdp.TailCall{Map: name, Slot: c.Slot, Name: c.Program}
			if c.Object != "" {
				if call.File, err = absolute(c.Object); err != nil {
					return nil, err
				}
				if _, err := o.inspect(ctx, call.File, c.fetched); err != nil {
					return nil, err
				}
				call.Data = o.files[call.File]
			}
			all = append(all, call)
		}
	}
	return all, nil
}

// inspect reads an object file, or remembers it. fetched is there for an image.
func (o *objects) inspect(ctx context.Context, file string, fetched *Fetched) (*inspect.Object, error) {
	if fetched != nil && fetched.Err != nil {
		return nil, fetched.Err
	}
	if object := o.inspections[file]; object != nil {
		return object, nil
	}
	if fetched != nil {
		return o.remember(file, fetched.Image.Data)
	}
	data, err := inspect.ReadFile(ctx, file)
	if err != nil {
		return nil, err
	}
	return o.remember(file, data)
}

// remember takes data for what is in an object file.
func (o *objects) remember(file string, data []byte) (*inspect.Object, error) {
	object, err := inspect.Read(file, data)
	if err == nil {
		o.files[file], o.digests[file], o.inspections[file] = data, sum(data), object
	}
	return object, err
}

// choose finds the program of the object that p names, by default the first XDP program. One that
// others call comes last, unless p gives its name.
func choose(object *inspect.Object, p Program) (*inspect.ObjectProgram, error) {
	var there []string
	var called *inspect.ObjectProgram
	for i := range object.Programs {
		o := &object.Programs[i]
		if o.Section == p.Section || o.Name == p.Program || p.Section == "" && p.Program == "" && o.XDP() {
			if p.Program != "" || len(o.CalledBy) == 0 && !p.calls(o.Name) {
				return o, nil
			}
			called = cmp.Or(called, o)
		}
		there = append(there, fmt.Sprintf("%s (section %s)", o.Name, o.Section))
	}
	if called != nil {
		return called, nil
	}
	err := invalid(p.where, "%s holds no XDP program", p.Object)
	switch {
	case p.Section != "":
		err = invalid(p.where, "%s has no section %q", p.Object, p.Section)
	case p.Program != "":
		err = invalid(p.where, "%s has no program %q", p.Object, p.Program)
	}
	err.Kind, err.Remedy = xdp.ErrObject, "its programs: "+strings.Join(there, ", ")
	return nil, err
}

// calls says whether the state has the program call that function of its object.
func (p Program) calls(function string) bool {
	for _, calls := range p.TailCalls {
		if slices.ContainsFunc(calls, func(c TailCall) bool { return c.Object == "" && c.Program == function }) {
			return true
		}
	}
	return false
}

// digest is the hash of all that the program is made from.
func (o *objects) digest(w *wanted) (string, error) {
	return digestOf(o.digests[w.entry.Object], w.load())
}

// digestOf is the hash of what a program is loaded from. file is the hash of its object, and
// p names its function.
func digestOf(file string, p xdp.Program) (string, error) {
	parts := []any{file, p.Name, p.PinPath, p.Contents, p.MapSizes}
	if len(p.Variables) > 0 {
		parts = append(parts, p.Variables)
	}
	for _, c := range p.TailCalls {
		parts = append(parts, c.Map, c.Slot, c.Name, c.File != "", sum(c.Data))
	}
	made, err := json.Marshal(parts)
	return sum(made), err
}

// digestOfAll is the hash of all that is wanted of an interface.
func digestOfAll(mode xdp.Mode, want []*wanted) (string, error) {
	parts := []any{mode}
	for _, w := range want {
		parts = append(parts, w.entry.Name, w.digest, w.place)
	}
	data, err := json.Marshal(parts)
	return sum(data), err
}

func sum(data []byte) string {
	hash := sha256.Sum256(data)
	return hex.EncodeToString(hash[:])
}
