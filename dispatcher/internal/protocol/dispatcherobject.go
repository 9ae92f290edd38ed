package protocol

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/xdpmux/xdpmux/bpf"
	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/cgo/libxdp"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
)

// DispatcherObject is libxdp's own dispatcher.
const (
	DispatcherObject = "xdp-dispatcher.o"
	passProgram      = "xdp_pass" // beside the dispatcher, there for such a probe
)

// OpenDispatcher opens libxdp's dispatcher object with only one of its programs
// to be loaded.
func OpenDispatcher(name string) (*libbpf.Program, *Object, error) {
	owner, err := findDispatcher()
	if err != nil {
		return nil, nil, err
	}
	return (&Object{Object: owner.Object(), owner: owner}).only(name)
}

// findDispatcher has a static binary use the dispatcher of the host's libxdp too,
// as the native tools do, and only without one that of its own libxdp.
func findDispatcher() (*libxdp.Program, error) {
	if libxdp.Static {
		if dir := privilege.Getenv(privilege.EnvObjectPath); dir != "" {
			return libxdp.OpenFile(filepath.Join(dir, DispatcherObject), "", "")
		}
		path := filepath.Join(libxdp.ObjectDir, DispatcherObject)
		if _, err := os.Stat(path); err == nil {
			return libxdp.OpenFile(path, "", "")
		}
	}
	return libxdp.FindFile(DispatcherObject, "", "")
}

// OpenOwnDispatcher does the same with xdpmux's own of that version, which hosts
// programs that change packet data where libxdp's doesn't. locked marks it as such.
func OpenOwnDispatcher(version int, locked bool) (*libbpf.Program, *Object, error) {
	data, err := bpf.Dispatcher(version)
	if err != nil {
		return nil, nil, err
	}
	name := ownObject
	if locked {
		name = lockedObject
	}
	obj, err := libbpf.OpenMem(data, libbpf.OpenOptions{Name: name})
	if err != nil {
		return nil, nil, err
	}
	return (&Object{Object: obj}).only(DispatcherProgram)
}

// only lets one program be loaded.
func (f *Object) only(name string) (*libbpf.Program, *Object, error) {
	var found *libbpf.Program
	for _, p := range f.Programs() {
		if err := p.SetAutoload(p.Name() == name); err != nil {
			f.Close()
			return nil, nil, err
		}
		if p.Name() == name {
			found = p
		}
	}
	if found == nil {
		f.Close()
		return nil, nil, fmt.Errorf("%s has no program %s", DispatcherObject, name)
	}
	return found, f, nil
}

// Object is an object with a dispatcher.
type Object struct {
	*libbpf.Object
	owner *libxdp.Program // of a borrowed object; nil: it isn't borrowed
}

// Version is the version of the protocol that the object is for.
func (f *Object) Version() (int, error) {
	btf := f.BTF()
	if btf == nil {
		return 0, errors.New(DispatcherObject + " has no type information")
	}
	id, err := btf.Find("dispatcher_version", libbpf.KindVar)
	if err != nil {
		return 0, err
	}
	version, err := btf.Uint(id)
	return int(version), err
}

func (f *Object) Close() error {
	return errors.Join(f.Object.Close(), f.owner.Close())
}

// DispatcherVersion is the version that chains get here.
func DispatcherVersion() (int, error) {
	native.Lock.Lock()
	defer native.Lock.Unlock()
	_, file, err := OpenDispatcher(DispatcherProgram)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	return file.Version()
}
