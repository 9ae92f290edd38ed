package protocol

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// libxdp pins the component programs and their links, and opens the dispatcher and its map by
// their ids, which takes CAP_SYS_ADMIN. So that a process without it reaches the chain too, xdpmux
// pins them beside: below <bpffs>/xdp/chain-IFINDEX, by the dispatcher's id. In libxdp's own
// directory they would be in the way of native tools, which couldn't remove it any more. What these
// take off an interface leaves our pins behind, until xdpmux changes the chain or cleans.

// OwnName is what the directory of our own pins for an interface is called.
func OwnName(ifindex int) string { return fmt.Sprintf("chain-%d", ifindex) }

// OwnIndex reads a name of OwnName.
func OwnIndex(name string) (ifindex int, ok bool) {
	n, _ := fmt.Sscanf(name, "chain-%d", &ifindex)
	return ifindex, n == 1 && name == OwnName(ifindex)
}

// ownPins are the pins of a dispatcher in that directory, of the program and of its map.
func ownPins(id uint32) (main, config string) {
	return fmt.Sprintf("main-%d", id), fmt.Sprintf("config-%d", id)
}

// ownName is where the name of the program in a slot is kept if the kernel cuts it: the rest is in
// type information, which is opened by an id. It is what a symbolic link there says.
func ownName(id uint32, slot int) string { return fmt.Sprintf("name-%d-%d", id, slot) }

// OwnID reads the name of such a pin.
func OwnID(pin string) (id uint32, ok bool) {
	_, numbers, _ := strings.Cut(pin, "-")
	first, second, _ := strings.Cut(numbers, "-")
	n, _ := strconv.ParseUint(first, 10, 32)
	slot, _ := strconv.Atoi(second)
	id = uint32(n)
	if main, config := ownPins(id); pin != main && pin != config && pin != ownName(id, slot) {
		return 0, false
	}
	return id, true
}

// PinOwn makes our own pins of a dispatcher that has its other pins already. Its descriptors are
// main and config.
func (r *PinRoot) PinOwn(ifindex int, d *Dispatcher, main, config int) error {
	id := d.ID
	name := OwnName(ifindex)
	err := unix.Mkdirat(r.fd, name, 0o700)
	if errors.Is(err, fs.ErrExist) {
		err = r.sweepOwn(ifindex, id)
	}
	if err != nil {
		return err
	}
	mainPin, configPin := ownPins(id)
	dir := PinRootDir() + "/" + name + "/"
	if err := libbpf.ObjPin(main, dir+mainPin); err != nil {
		return err
	}
	for i, s := range d.Slots {
		if err := KeepName(dir+ownName(id, i), s.Name); err != nil {
			return err
		}
	}
	return libbpf.ObjPin(config, dir+configPin)
}

// OwnLeft says whether a pin in our directory of an interface is left of a dispatcher that is gone:
// libxdp's directory of that is. What isn't one of our pins isn't left.
func (r *PinRoot) OwnLeft(ifindex int, pin string) (bool, error) {
	id, ok := OwnID(pin)
	if !ok {
		return false, nil
	}
	has, err := r.Has(PinName(ifindex, id))
	return !has, err
}

// sweepOwn removes our own pins of that dispatcher, and those that are left of others on the
// interface.
func (r *PinRoot) sweepOwn(ifindex int, id uint32) error {
	name := OwnName(ifindex)
	pins, err := r.Pins(name)
	if err != nil {
		return err
	}
	left := map[uint32]bool{id: true} // for each dispatcher whether its pins are to go
	for _, pin := range pins {
		of, ours := OwnID(pin)
		if !ours {
			continue
		}
		if _, known := left[of]; !known {
			if left[of], err = r.OwnLeft(ifindex, pin); err != nil {
				return err
			}
		}
		if left[of] {
			if err := r.RemovePin(name + "/" + pin); err != nil {
				return err
			}
		}
	}
	return nil
}

// RemoveAll removes all pins of a dispatcher, those of libxdp and ours. What isn't there is fine.
func (r *PinRoot) RemoveAll(ifindex int, id uint32) error {
	if err := errors.Join(r.Remove(PinName(ifindex, id)), r.sweepOwn(ifindex, id)); err != nil {
		return err
	}
	name := OwnName(ifindex)
	err := unix.Unlinkat(r.fd, name, unix.AT_REMOVEDIR)
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTEMPTY) {
		return nil
	}
	return &os.PathError{Op: "remove", Path: PinRootDir() + "/" + name, Err: err}
}

// KeepName keeps the name of a program at that path, if the kernel cuts it.
func KeepName(path, name string) error {
	if len(name) <= loaded.MaxName {
		return nil
	}
	return os.Symlink(name, path)
}

// fullName is the name of the program in a slot as it was kept, or else as the kernel has it.
func (s *Dispatcher) fullName(slot int, name string) string {
	for _, path := range []string{ownPin(s.ifindex, ownName(s.ID, slot)), NamePin(KeptDir(s.ifindex, s.ID), slot)} {
		if kept, err := os.Readlink(path); err == nil && strings.HasPrefix(kept, name) {
			return kept
		}
	}
	return name
}

// OpenMain opens the dispatcher with that id which is on the interface of that index, or is kept to
// come back. ENOENT: it is gone. Errors: [xdp.ErrPermission].
func OpenMain(ifindex int, id uint32) (*libbpf.FD, error) {
	main, _ := ownPins(id)
	return open(id, loaded.OpenProg, loaded.ProgID, ownPin(ifindex, main), MainPin(KeptDir(ifindex, id)))
}

// OpenComponent does the same for the program in a slot of that dispatcher, which has the id progID.
func OpenComponent(ifindex int, id uint32, slot int, progID uint32) (*libbpf.FD, error) {
	return open(progID, loaded.OpenProg, loaded.ProgID, ProgPin(PinDir(ifindex, id), slot), ProgPin(KeptDir(ifindex, id), slot))
}

// openConfig does the same for the map of that dispatcher, which has the id mapID.
func openConfig(ifindex int, id, mapID uint32) (*libbpf.FD, error) {
	_, config := ownPins(id)
	return open(mapID, loaded.OpenMap, loaded.MapID, ownPin(ifindex, config), ConfigPin(KeptDir(ifindex, id)))
}

// OpenPinned opens the map with that id, which is pinned at that path, as OpenMain does.
func OpenPinned(mapID uint32, pin string) (*libbpf.FD, error) {
	return open(mapID, loaded.OpenMap, loaded.MapID, pin)
}

func ownPin(ifindex int, pin string) string {
	return PinRootDir() + "/" + OwnName(ifindex) + "/" + pin
}

// open opens what has that id. Where the process may not do so by the id, it is what is pinned at
// one of the paths. That may be anything, so that its id is what counts.
func open(id uint32, byID func(uint32) (*libbpf.FD, error), idOf func(fd int) (uint32, error), pins ...string) (*libbpf.FD, error) {
	fd, err := byID(id)
	if !errors.Is(err, xdp.ErrPermission) {
		return fd, err
	}
	for _, pin := range pins {
		fd, pinErr := libbpf.ObjGetReadOnly(pin)
		switch {
		case errors.Is(pinErr, fs.ErrNotExist):
			continue
		case pinErr != nil:
			return nil, ExplainPins(fmt.Errorf("%s: %w", pin, pinErr))
		}
		if is, idErr := idOf(fd.Int()); idErr == nil && is == id {
			return fd, nil
		}
		fd.Close()
	}
	return nil, err
}
