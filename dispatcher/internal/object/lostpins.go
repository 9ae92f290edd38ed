package object

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
)

// pinState is what lies where a map should be pinned.
type pinState int

const (
	pinned   pinState = iota // the map
	unpinned                 // nothing
	pinTaken                 // something else
)

// pinOf looks at the pin of a map.
func pinOf(path string, mapID uint32) (pinState, error) {
	fd, err := libbpf.ObjGet(path)
	switch {
	case errors.Is(err, syscall.ENOENT):
		return unpinned, nil
	case errors.Is(err, syscall.EPERM):
		return pinTaken, privilege.Explain(err)
	case err != nil:
		return pinTaken, nil
	}
	defer fd.Close()
	info, err := libbpf.MapInfoByFD(fd.Int())
	if err != nil || info.ID != mapID {
		return pinTaken, nil
	}
	return pinned, nil
}

// LostPins looks whether the maps of a program that runs are still pinned. pins are the paths
// at which they were pinned, by their names. lost are the maps that aren't pinned any more.
// other is the first map at whose path something else is pinned by now. Maps that the program
// doesn't use are left out. Errors: [xdp.ErrPermission].
func LostPins(progID uint32, pins map[string]string) (lost []string, other string, err error) {
	err = eachPin(progID, pins, func(name, path string, id uint32) error {
		state, err := pinOf(path, id)
		switch {
		case err != nil:
			return err
		case state == unpinned:
			lost = append(lost, name)
		case state == pinTaken && other == "":
			other = name
		}
		return nil
	})
	return lost, other, err
}

// Repin pins the maps of a program that runs which [LostPins] finds lost. It stands for
// bpf_obj_pin. Errors: [xdp.ErrInvalid] for a path that isn't on a bpffs, [xdp.ErrPermission].
func Repin(progID uint32, pins map[string]string) error {
	return eachPin(progID, pins, func(_, path string, id uint32) error {
		if state, err := pinOf(path, id); err != nil || state != unpinned {
			return err
		}
		dir := filepath.Dir(path)
		if err := CheckPinPath(dir); err != nil {
			return err
		}
		if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
			return err
		}
		fd, err := loaded.OpenMap(id)
		if err != nil {
			return privilege.Explain(err)
		}
		defer fd.Close()
		return privilege.Explain(libbpf.ObjPin(fd.Int(), path))
	})
}

// eachPin calls f, in the order of the names, for each map that the program uses and
// that was pinned. One without a name of its own is left out.
func eachPin(progID uint32, pins map[string]string, f func(name, path string, id uint32) error) error {
	if len(pins) == 0 {
		return nil
	}
	all, err := MapsOfID(progID)
	if errors.Is(err, syscall.ENOENT) {
		return nil
	}
	if err != nil {
		return privilege.Explain(err)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(pins)) {
		if m, ambiguous := all.find(name, strings.HasPrefix(name, ".")); m != nil && ambiguous == nil {
			errs = append(errs, f(name, pins[name], m.ID))
		}
	}
	return errors.Join(errs...)
}
