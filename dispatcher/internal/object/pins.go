package object

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// mapPins are the pins that the load of an object makes. A failure after the load has to take
// them back.
type mapPins struct {
	maps []*libbpf.Map // those without a pin yet
	dir  string        // made by the load; empty: it was there
}

// preparePins clears the pin paths of an object that is to pin nothing, and
// otherwise finds out which pins the load will make.
func preparePins(obj *libbpf.Object, root string) (mapPins, error) {
	var pins mapPins
	if root != "" {
		if err := CheckPinPath(root); err != nil {
			return pins, err
		}
		if _, err := os.Stat(root); errors.Is(err, os.ErrNotExist) {
			pins.dir = root
		}
	}
	for _, m := range obj.Maps() {
		path := m.PinPath()
		if path == "" {
			continue
		}
		if root == "" {
			if err := m.SetPinPath(""); err != nil {
				return pins, err
			}
			continue
		}
		switch st, err := os.Lstat(path); {
		case errors.Is(err, os.ErrNotExist):
			pins.maps = append(pins.maps, m)
		case err == nil && st.Mode()&os.ModeSymlink != 0:
			return pins, pinnedLink(path)
		}
	}
	return pins, nil
}

// CheckPinPath says whether maps can be pinned below path, the PinPath of an [xdp.Program].
// Only a bpffs takes pins, and one directory is made at most. Errors: [xdp.ErrInvalid].
func CheckPinPath(path string) error {
	var fs unix.Statfs_t
	err := unix.Statfs(path, &fs)
	if errors.Is(err, unix.ENOENT) {
		err = unix.Statfs(filepath.Dir(filepath.Clean(path)), &fs)
	}
	if err != nil {
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("pin path %s: %v", path, err),
			Remedy: "its parent directory must exist, on a bpffs such as /sys/fs/bpf", Err: err}
	}
	if fs.Type != unix.BPF_FS_MAGIC {
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("pin path %s is not on a bpffs", path),
			Remedy: "choose a path below /sys/fs/bpf, where bpffs is mounted by: mount -t bpf -o mode=0700 bpf /sys/fs/bpf"}
	}
	return checkNoLinks(path)
}

// checkNoLinks refuses a path that has a symbolic link below the bpffs. Others may have made
// the link, to choose the maps that it leads to.
func checkNoLinks(path string) error {
	for path = filepath.Clean(path); ; path = filepath.Dir(path) {
		var fs unix.Statfs_t
		if path == "/" || path == "." || unix.Statfs(filepath.Dir(path), &fs) != nil || fs.Type != unix.BPF_FS_MAGIC {
			return nil
		}
		if st, err := os.Lstat(path); err == nil && st.Mode()&os.ModeSymlink != 0 {
			return pinnedLink(path)
		}
	}
}

func pinnedLink(path string) error {
	return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("%s is a symbolic link, and xdpmux follows none below a bpffs", path),
		Remedy: "name the path that it leads to, if that is where the maps are to be"}
}

// hold keeps the load from making the pins; release makes them later. Maps are pinned once
// they hold what they should. Otherwise a process that is killed in between would leave empty
// maps, which the next load would take for maps that others have filled.
func (p mapPins) hold() (release func() error, err error) {
	paths := make([]string, len(p.maps))
	for i, m := range p.maps {
		paths[i] = m.PinPath()
		if err := m.SetPinPath(""); err != nil {
			return nil, err
		}
	}
	return func() error {
		for i, m := range p.maps {
			if paths[i] == "" {
				continue
			}
			if err := m.Pin(paths[i]); err != nil {
				return &xdp.Error{Kind: xdp.ErrSystem, Err: err, Msg: fmt.Sprintf("can't pin map %q at %s: %s", m.Name(), paths[i], native.Cause(err))}
			}
		}
		return nil
	}, nil
}

// Made are the paths of the pins that the load makes, and of the directory that it makes for
// them; empty: the directory was there.
func (p mapPins) Made() (pins []string, dir string) {
	for _, m := range p.maps {
		pins = append(pins, m.PinPath())
	}
	return pins, p.dir
}

// Undo removes the pins that the load has made. A pin that shows another map by
// now isn't ours.
func (p mapPins) Undo() {
	for _, m := range p.maps {
		ours, err := libbpf.MapInfoByFD(m.FD())
		if err != nil {
			continue // not loaded, hence not pinned
		}
		fd, err := libbpf.ObjGet(m.PinPath())
		if err != nil {
			continue
		}
		pinned, err := libbpf.MapInfoByFD(fd.Int())
		fd.Close()
		if err == nil && pinned.ID == ours.ID {
			os.Remove(m.PinPath())
		}
	}
	if p.dir != "" {
		os.Remove(p.dir) // only if it is empty
	}
}
