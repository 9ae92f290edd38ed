package protocol

import (
	"errors"
	"fmt"

	"github.com/xdpmux/xdpmux/bpf"
	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
)

// passProgram is beside our dispatcher, for the probe.
const passProgram = "xdp_pass"

// Object is an object with a dispatcher.
type Object struct{ *libbpf.Object }

// OpenOwnDispatcher opens xdpmux's own dispatcher of that version, which hosts programs
// that change packet data where libxdp's doesn't. locked marks it as such.
func OpenOwnDispatcher(version int, locked bool) (*libbpf.Program, *Object, error) {
	name := ownObject
	if locked {
		name = lockedObject
	}
	return openOwn(version, name, DispatcherProgram)
}

// openOwn opens our own object with only one of its programs to be loaded.
func openOwn(version int, name, program string) (*libbpf.Program, *Object, error) {
	data, err := bpf.Dispatcher(version)
	if err != nil {
		return nil, nil, err
	}
	obj, err := libbpf.OpenMem(data, libbpf.OpenOptions{Name: name})
	if err != nil {
		return nil, nil, err
	}
	return (&Object{obj}).only(program)
}

// only lets one program be loaded. The object is closed if it has none of that name.
func (f *Object) only(name string) (*libbpf.Program, *Object, error) {
	all := f.Programs()
	found := native.Named(all, name)
	err := native.LoadOnly(all, found)
	if found == nil {
		err = fmt.Errorf("no program %s in it", name)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return found, f, nil
}

// Version is the version of the protocol that the object is for.
func (f *Object) Version() (int, error) {
	btf := f.BTF()
	if btf == nil {
		return 0, errors.New("no type information in it")
	}
	id, err := btf.Find("dispatcher_version", libbpf.KindVar)
	if err != nil {
		return 0, errors.New("no version of a dispatcher in it")
	}
	return declared(btf, id)
}

// declared is the number that the variable of that id was declared for by __uint of
// bpf_helpers.h: the variable points to an array of that length.
func declared(btf *libbpf.BTF, id uint32) (int, error) {
	var t *libbpf.Type
	for _, kind := range []libbpf.Kind{libbpf.KindVar, libbpf.KindPtr, libbpf.KindArray} {
		var err error
		if t, err = btf.Type(id); err != nil {
			return 0, err
		}
		if t.Kind != kind {
			return 0, errors.New("the version of the dispatcher in it isn't declared by __uint")
		}
		id = t.Ref
	}
	return t.Len, nil
}

// check says whether the object has the layout of its version.
func (f *Object) check() error {
	version, err := f.Version()
	if err != nil {
		return err
	}
	maps := f.Maps()
	if len(maps) != 1 {
		return fmt.Errorf("%d maps in it, and a dispatcher has one", len(maps))
	}
	size, known := configSizes[version]
	switch {
	case !known:
		return fmt.Errorf("its dispatcher has version %d, and xdpmux knows 1 to %d", version, MaxVersion)
	case int(maps[0].ValueSize()) != size:
		return fmt.Errorf("its configuration has %d bytes, and that of version %d has %d", maps[0].ValueSize(), version, size)
	}
	return nil
}
