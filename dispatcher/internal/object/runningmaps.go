package object

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/value"
)

// RunningMap is a map of a loaded program.
type RunningMap struct {
	*libbpf.MapInfo
	section     string        // of global variables; empty: it holds none
	variables   *value.Layout // the same
	names       []string      // what it may be called in full; nil: only the kernel's name is known
	declaredMap               // what is known of its types
}

// runningMaps are the maps of a program.
type runningMaps []*RunningMap

// find is the map of that name, or the map with the global variables of the section of that
// name; nil: there is none. The kernel cuts names: it is an error if nobody can tell which
// map is meant.
func (all runningMaps) find(name string, isSection bool) (*RunningMap, error) {
	var found []*RunningMap
	certain := true
	for _, m := range all {
		switch {
		case isSection || m.section != "":
			if isSection && m.section == name {
				found = append(found, m)
			}
		case slices.Contains(m.names, name):
			found, certain = append(found, m), certain && len(m.names) == 1
		case m.names == nil && m.Name == loaded.ShortName(name):
			found, certain = append(found, m), certain && m.Name == name
		}
	}
	switch {
	case len(found) == 0:
		return nil, nil
	case len(found) == 1 && certain:
		return found[0], nil
	}
	var ids []string
	for _, m := range found {
		ids = append(ids, fmt.Sprint(m.ID))
	}
	return nil, fmt.Errorf("the kernel knows only the first %d characters of names, and the map with id %s may be that one or another", loaded.MaxName, strings.Join(ids, " and that with id "))
}

// FullName is the map's name, in full where it is known.
func (m *RunningMap) FullName() string {
	if len(m.names) == 1 {
		return m.names[0]
	}
	return m.Name
}

// DeclaredName is what the object calls the map; of global variables it is their section. certain
// is false if the kernel has cut the name and nobody knows the rest.
func (m *RunningMap) DeclaredName() (name string, certain bool) {
	if m.section != "" {
		return m.section, true
	}
	return m.FullName(), len(m.names) == 1 || m.names == nil && len(m.Name) < loaded.MaxName
}

// Constant says whether the object alone determines what the map holds.
func (m *RunningMap) Constant() bool {
	return isConstant(m.section) || m.section == "" && strings.Contains(m.Name, ".rodata")
}

// isConstant says whether the object alone determines what a section holds, and nothing that
// has happened since the load.
func isConstant(section string) bool {
	return strings.HasPrefix(section, ".rodata") || section == ".kconfig"
}

// Variables says whether the map holds global variables.
func (m *RunningMap) Variables() bool { return m.section != "" }

// MayBe says whether the map may be the one of that name. The name may be in full, or cut as
// the kernel has it.
func (m *RunningMap) MayBe(name string) bool {
	if m.Name == name || m.names == nil && m.section == "" && m.Name == loaded.ShortName(name) {
		return true
	}
	return slices.Contains(m.names, name)
}

// mapsOf are the maps of a program. Their names in full, and their types, are in the
// program's BTF, or in that of the object that made them.
func mapsOf(progFD int) (runningMaps, error) {
	info, err := libbpf.ProgInfoByFD(progFD)
	if err != nil {
		return nil, err
	}
	if len(info.MapIDs) == 0 {
		return nil, nil
	}
	types := typeCache{}
	defer types.close()
	program, err := types.load(info.BTFID)
	if err != nil {
		return nil, err
	}
	declared := declaredMaps(program)
	var all runningMaps
	for _, id := range info.MapIDs {
		m, err := loaded.MapInfo(id)
		if errors.Is(err, syscall.ENOENT) {
			continue
		}
		if err != nil {
			return nil, err
		}
		own, err := types.load(m.BTFID)
		if err != nil {
			return nil, err
		}
		r := &RunningMap{MapInfo: m}
		if err := r.readVariables(own); err != nil {
			return nil, err
		}
		if r.section == "" {
			r.identify(own, info.BTFID, declared)
		}
		all = append(all, r)
	}
	return all, nil
}

// MapsOfID are the maps of the program with that id. ENOENT: there is none.
func MapsOfID(progID uint32) (runningMaps, error) {
	prog, err := loaded.OpenProg(progID)
	if err != nil {
		return nil, err
	}
	defer prog.Close()
	return mapsOf(prog.Int())
}

// readVariables finds out which global variables the map holds, if it does.
func (m *RunningMap) readVariables(own *libbpf.BTF) error {
	if own == nil || m.BTFValueTypeID == 0 || m.BTFKeyTypeID != 0 {
		return nil
	}
	t, err := own.Type(m.BTFValueTypeID)
	if err != nil || t.Kind != libbpf.KindDatasec {
		return err
	}
	m.section = t.Name
	m.variables, err = value.FromBTF(own, t.ID)
	return err
}

// identify finds out which of the maps that the program's object declares this may be.
func (m *RunningMap) identify(own *libbpf.BTF, programBTF uint32, declared map[string]*declaredMap) {
	var fits []*declaredMap
	for name, d := range declared {
		if loaded.ShortName(name) != m.Name || d.typ != m.Type || d.keySize != m.KeySize || d.valueSize != m.ValueSize {
			continue
		}
		if m.BTFID == programBTF && m.BTFValueTypeID != 0 && (m.BTFValueTypeID != d.valueType || m.BTFKeyTypeID != d.keyType) {
			continue
		}
		fits, m.names = append(fits, d), append(m.names, name)
	}
	slices.Sort(m.names)
	if len(fits) == 1 {
		m.declaredMap = *fits[0]
	}
	if own == nil || m.BTFValueTypeID == 0 {
		return
	}
	// The object that made the map knows its types best.
	m.key, m.value = layoutOrNil(own, m.BTFKeyTypeID), layoutOrNil(own, m.BTFValueTypeID)
}

// typeCache keeps BTF that several maps share open.
type typeCache map[uint32]*libbpf.BTF

func (c typeCache) load(id uint32) (*libbpf.BTF, error) {
	if id == 0 || c[id] != nil {
		return c[id], nil
	}
	btf, err := loaded.OpenBTF(id)
	if errors.Is(err, syscall.ENOENT) {
		return nil, nil // gone with its map
	}
	if err != nil {
		return nil, err
	}
	c[id] = btf
	return btf, nil
}

func (c typeCache) close() {
	for _, btf := range c {
		btf.Close()
	}
}
