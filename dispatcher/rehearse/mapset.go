package rehearse

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// mapSet is the maps of a copied chain. Each is there once, however many programs use it.
type mapSet struct {
	begins  *mapSet           // of the chain that was copied first; nil: this is that
	byID    map[uint32]uint32 // the copy of each running map, by ids
	byPin   map[string]uint32 // maps that are made for a pin which isn't there
	faults  map[uint32]fault  // why a copy doesn't hold what it should, by its id
	objects []*object.Program // hold the maps
	inner   []*libbpf.FD      // hold those in maps of maps
}

// fault is why what a map holds can't be copied.
type fault struct{ name, why string }

func (f fault) String() string { return fmt.Sprintf("its map %s %s", f.name, f.why) }

func newMapSet() *mapSet {
	return &mapSet{byID: map[uint32]uint32{}, byPin: map[string]uint32{}, faults: map[uint32]fault{}}
}

// program makes the maps of a program, and returns how it is to be loaded with them.
func (s *mapSet) program(ctx context.Context, from source) (p xdp.Program, l limits, err error) {
	unpinned := from.Program
	unpinned.PinPath = ""
	o, err := object.Open(ctx, unpinned)
	if err != nil {
		return p, l, err
	}
	s.objects = append(s.objects, o)
	l.maps = map[uint32][]string{}
	if l.calls, err = limitsOfCalls(o); err != nil {
		return p, l, err
	}
	names, declared := o.MapNames(), o.Obj.Maps()
	originals, pins, err := s.originals(o, from)
	if err != nil {
		return p, l, err
	}
	uses, fills := make([]uint32, len(names)), make([]bool, len(names))
	for i, id := range originals {
		switch {
		case id != 0:
			uses[i], fills[i] = s.byID[id], s.byID[id] == 0
		case pins[i] != "":
			uses[i] = s.byPin[pins[i]]
		}
		if !fills[i] {
			continue
		}
		info, err := loaded.MapInfo(id)
		if err != nil {
			return p, l, err
		}
		if err := o.Like(i, info); err != nil {
			return p, l, err
		}
		if constants := declared[i].InitialValue(); declared[i].Internal() && constants != nil {
			// Before the load: it makes constants unchangeable.
			if err := readVariables(id, constants); err != nil {
				return p, l, err
			}
		}
	}
	if err := o.LoadMaps(uses, fills); err != nil {
		return p, l, err
	}
	p = xdp.Program{File: from.File, Data: o.Spec.Data, Name: o.Bpf.Name(), UseMaps: map[string]uint32{}, MapSizes: map[string]uint32{},
		TailCalls: from.TailCalls,
		Priority:  from.Priority, Actions: from.Actions, Frags: from.Frags}
	for i, m := range declared {
		info, err := libbpf.MapInfoByFD(m.FD())
		if err != nil {
			return p, l, err
		}
		if o.Fills(names[i]) { // the load makes the array, for programs that it loads too
			p.MapSizes[names[i]] = uint32(info.MaxEntries)
			continue
		}
		p.UseMaps[names[i]] = info.ID
		if pins[i] != "" && originals[i] == 0 {
			s.byPin[pins[i]] = info.ID
		}
		if fills[i] {
			s.byID[originals[i]] = info.ID
			if !m.Internal() {
				if err := s.fill(ctx, originals[i], names[i], m.FD(), info); err != nil {
					return p, l, err
				}
			}
		}
		if f, ok := s.faults[info.ID]; ok {
			l.maps[info.ID] = append(l.maps[info.ID], f.String())
		}
		if m.Type().PerCPU() && !from.fresh { // a new one holds the same for each CPU
			l.maps[info.ID] = append(l.maps[info.ID], fmt.Sprintf("its map %s has values for each CPU, and only those of one CPU take part", names[i]))
		}
	}
	if o.MakesTailCalls() && from.runs {
		difference, err := callsDifference(unpinned, from.maps)
		if err != nil {
			return p, l, err
		}
		if difference != "" {
			l.calls = append(l.calls, difference+", and the copy calls those of the object")
		}
	}
	return p, l, nil
}

// callsDifference says in which programs a running one calls differs from what its object says.
func callsDifference(p xdp.Program, runs uint32) (string, error) {
	s, err := object.NewSpecimen(p, 0)
	if err != nil {
		return "", err
	}
	defer s.Close()
	return s.CallsDifference(runs)
}

// originals are the ids of the running maps of which a program gets copies, for each map of
// its object; 0: it gets a new one. pins are where those with an id of 0 would be pinned;
// empty: nowhere.
func (s *mapSet) originals(o *object.Program, from source) (ids []uint32, pins []string, err error) {
	ids, pins = make([]uint32, len(o.MapNames())), make([]string, len(o.MapNames()))
	if from.maps != 0 {
		if from.changes {
			ids, err = o.MapsToKeep(from.maps)
		} else {
			ids, err = o.MapsOf(from.maps)
		}
		if errors.Is(err, syscall.ENOENT) {
			return nil, nil, &xdp.Error{Kind: xdp.ErrBusy, Err: err, Msg: "the chain was changed while it was copied", Remedy: "try again"}
		}
		if err != nil {
			return nil, nil, err
		}
	}
	for i := range ids {
		if ids[i] == 0 {
			if pins[i], ids[i], err = o.PinOf(i, from.PinPath); err != nil {
				return nil, nil, err
			}
			if from.fresh {
				ids[i] = 0
			}
		}
	}
	return ids, pins, nil
}

// readVariables reads a map of global variables.
func readVariables(id uint32, into []byte) error {
	fd, err := loaded.OpenMap(id)
	if err != nil {
		return err
	}
	defer fd.Close()
	return libbpf.MapLookup(fd.Int(), make([]byte, 4), into)
}

// fill copies what a running map holds. Both chains are to begin with the same: so the second
// one begins with what was copied for the first.
func (s *mapSet) fill(ctx context.Context, id uint32, name string, to int, info *libbpf.MapInfo) error {
	if s.begins != nil {
		if first := s.begins.byID[id]; first != 0 {
			if f, ok := s.begins.faults[first]; ok {
				s.faults[info.ID] = f
			}
			id = first
		}
	}
	why, err := s.copy(ctx, id, to, info)
	if why != "" {
		s.faults[info.ID] = fault{name, why}
	}
	return err
}

// copy copies the entries of a map. why says why not all of them could be copied.
func (s *mapSet) copy(ctx context.Context, id uint32, to int, info *libbpf.MapInfo) (why string, err error) {
	switch info.Type {
	case libbpf.MapTypeRingBuf, libbpf.MapTypePerfEventArray:
		return "", nil // what is written there is for others to read
	case libbpf.MapTypeProgArray:
		return "is empty in the copy: the programs that it calls aren't copied", nil
	}
	from, err := maps.OpenID(id)
	if err != nil {
		return "", err
	}
	defer from.Close()
	if from.Readable() != nil {
		return fmt.Sprintf("is empty in the copy: nobody can read what a %s holds", info.Type), nil
	}
	var failed error
	entries := 0
	err = from.Scan(ctx, func(key, values []byte) bool {
		entries++
		var value []byte
		if value, failed = s.value(ctx, info.Type, values); value != nil {
			failed = libbpf.MapUpdate(to, key, value, libbpf.UpdateAny)
		}
		return failed == nil
	})
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", err
	case failed != nil:
		return fmt.Sprintf("isn't copied whole (%v)", failed), nil
	case info.Type == libbpf.MapTypeLRUHash || info.Type == libbpf.MapTypeLRUPerCPUHash:
		return s.compareSizes(ctx, info.ID, entries)
	}
	return "", nil
}

// compareSizes counts what the copy of an LRU map has kept: such a map forgets entries before
// it is full.
func (s *mapSet) compareSizes(ctx context.Context, id uint32, want int) (why string, err error) {
	m, err := maps.OpenID(id)
	if err != nil {
		return "", err
	}
	defer m.Close()
	has := 0
	err = m.Scan(ctx, func(_, _ []byte) bool { has++; return true })
	if err == nil && has < want {
		why = fmt.Sprintf("has lost %d of its %d entries in the copy, as a map of that type may", want-has, want)
	}
	return why, err
}

// value is what to write for a value that was read. nil: the entry is empty.
func (s *mapSet) value(ctx context.Context, t libbpf.MapType, value []byte) ([]byte, error) {
	switch t {
	case libbpf.MapTypeDevMap, libbpf.MapTypeDevMapHash, libbpf.MapTypeCPUMap:
		target := slices.Clone(value)
		if len(target) > 4 {
			// A program's id. It would run behind a redirect, which goes nowhere.
			clear(target[4:])
		}
		if binary.NativeEndian.Uint32(target) == 0 {
			return nil, nil
		}
		return target, nil
	case libbpf.MapTypeArrayOfMaps, libbpf.MapTypeHashOfMaps:
		id, err := s.innerMap(ctx, binary.NativeEndian.Uint32(value))
		if err != nil {
			return nil, err
		}
		return binary.NativeEndian.AppendUint32(nil, id), nil
	}
	return value, nil
}

// innerMap copies a map that is in another one, and returns the copy's descriptor.
func (s *mapSet) innerMap(ctx context.Context, id uint32) (uint32, error) {
	if copied := s.byID[id]; copied != 0 {
		fd, err := loaded.OpenMap(copied)
		if err != nil {
			return 0, err
		}
		s.inner = append(s.inner, fd)
		return uint32(fd.Int()), nil
	}
	info, err := loaded.MapInfo(id)
	if err != nil {
		return 0, err
	}
	fd, err := libbpf.CreateMap(info.Type, info.Name, info.KeySize, info.ValueSize, info.MaxEntries, info.Flags)
	if err != nil {
		return 0, err
	}
	s.inner = append(s.inner, fd)
	made, err := libbpf.MapInfoByFD(fd.Int())
	if err != nil {
		return 0, err
	}
	s.byID[id] = made.ID
	why, err := s.copy(ctx, id, fd.Int(), made)
	if err == nil && why != "" {
		err = fmt.Errorf("map %s in it %s", info.Name, why)
	}
	return uint32(fd.Int()), err
}

func (s *mapSet) close() {
	object.CloseAll(s.objects)
	for _, fd := range s.inner {
		fd.Close()
	}
	s.objects, s.inner = nil, nil
}
