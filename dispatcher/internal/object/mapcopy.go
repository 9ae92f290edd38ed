package object

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// MapNames are the names of the object's maps: ".data" and the like for global variables.
func (o *Program) MapNames() []string { return o.names }

// MapsOf are the ids of the maps of a running program that was loaded from this object, in the
// order of the object's; 0: it doesn't use that map. Errors: ENOENT if the program is gone,
// [xdp.ErrNotSource] if it was loaded from another object.
func (o *Program) MapsOf(progID uint32) ([]uint32, error) {
	fd, err := loaded.OpenProg(progID)
	if err != nil {
		return nil, err
	}
	defer fd.Close()
	runs, err := loaded.ByFD(fd.Int())
	if err != nil {
		return nil, err
	}
	info, err := libbpf.ProgInfoByFD(fd.Int())
	if err != nil {
		return nil, err
	}
	return o.mapsOfRunning(runs.Loaded, info.MapIDs, 0)
}

// MapsToKeep are the ids of the maps of a running program that this one would keep in its
// place ([Program.ChooseMaps]), in the order of the object's; 0: it keeps none for that.
func (o *Program) MapsToKeep(progID uint32) ([]uint32, error) {
	theirs, err := MapsOfID(progID)
	if err != nil {
		return nil, err
	}
	kept := make([]uint32, len(o.names))
	for i, m := range o.Obj.Maps() {
		if isConstant(o.names[i]) || o.Fills(o.names[i]) {
			continue
		}
		there, err := theirs.find(o.names[i], m.Internal())
		if err != nil {
			return nil, cantKeep(o.names[i], err.Error(), "give maps names that differ in their first 15 characters")
		}
		if there != nil {
			kept[i] = there.ID
		}
	}
	return kept, nil
}

// PinOf is where the object's map of that index would be pinned below a directory; empty:
// nowhere. ID is that of the map that is pinned there; 0: none is.
func (o *Program) PinOf(i int, dir string) (path string, id uint32, err error) {
	if dir == "" || !o.pins[i] {
		return "", 0, nil
	}
	path = filepath.Join(dir, o.names[i])
	fd, err := libbpf.ObjGet(path)
	if errors.Is(err, syscall.ENOENT) {
		return path, 0, nil
	}
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w", path, err)
	}
	defer fd.Close()
	info, err := libbpf.MapInfoByFD(fd.Int())
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w", path, err)
	}
	return path, info.ID, nil
}

// Like gives the object's map of that index the size of a loaded one. It is an error if
// the two are laid out differently.
func (o *Program) Like(i int, there *libbpf.MapInfo) error {
	m := o.Obj.Maps()[i]
	if !m.Internal() {
		if err := m.SetMaxEntries(there.MaxEntries); err != nil {
			return err
		}
	}
	if want, has := layoutOf(m), layoutOfInfo(there); want != has {
		return &xdp.Error{Kind: xdp.ErrObject, Msg: fmt.Sprintf("map %q of %s is %s, and the one in use, with id %d, is %s", o.names[i], o.Called, want, there.ID, has)}
	}
	return nil
}

// LoadMaps makes the object's maps and loads none of its programs. uses are the ids of
// loaded maps to use instead, 0 for a new one. A new one gets the contents that Spec says,
// unless the caller fills it.
func (o *Program) LoadMaps(uses []uint32, fills []bool) error {
	o.Kept, o.filled = uses, fills
	if err := o.reuseMaps(); err != nil {
		return err
	}
	if err := o.CheckMaps(); err != nil {
		return err
	}
	if err := o.Bpf.SetAutoload(false); err != nil {
		return err
	}
	if err := o.Obj.Load(); err != nil {
		return o.explainLoad(err)
	}
	return o.fill()
}
