package dispatcher

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	bpfdispatcher "github.com/xdpmux/xdpmux/bpf/dispatcher"
	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/cgo/libxdp"
)

func noDispatcher(reason string, err error) error {
	e := &Error{Kind: ErrNoDispatcher, Msg: "no dispatcher possible: " + reason, Err: err}
	if strings.HasPrefix(reason, "no bpffs") {
		e.Remedy = fmt.Sprintf("mount one: mount -t bpf -o mode=0700 bpf %s", bpffs())
	}
	return e
}

func withoutBTF(o *opened) string {
	return o.spec.File + " has no type information (BTF); compile it with -g"
}

// fallbackReason finds out why libxdp attached a program without a dispatcher.
func fallbackReason(o *opened, said []string) string {
	switch {
	case getenv(envSkipDispatcher) == "1":
		return envSkipDispatcher + " is set"
	case !o.obj.HasBTF():
		return withoutBTF(o)
	}
	var e *Error
	if err := checkBPFFS(); errors.As(err, &e) {
		return strings.TrimPrefix(e.Msg, "no dispatcher possible: ") + "; " + e.Remedy
	}
	if err := probeFreplace(); errors.As(err, &e) {
		return strings.TrimPrefix(e.Msg, "no dispatcher possible: ")
	}
	return "libxdp said: " + strings.Join(said, "; ")
}

// dispatcherObject is libxdp's own dispatcher.
const (
	dispatcherObject = "xdp-dispatcher.o"
	passProgram      = "xdp_pass" // beside the dispatcher, there for such a probe
)

// probeFreplace tries what a dispatcher needs of the kernel: to load libxdp's own
// and to link a program in place of one of its functions. Nothing is attached to
// an interface, and nothing stays.
func probeFreplace() error {
	libxdpLock.Lock()
	defer libxdpLock.Unlock()
	target, err := loadProbeTarget(openDispatcher)
	if err != nil {
		return err
	}
	defer target.Close()
	return target.replace(nil)
}

// probeTarget is a dispatcher that is loaded, attached nowhere, and there for
// others to be tried on.
type probeTarget struct {
	*dispatcherFile
	prog *libbpf.Program
}

// probeCount is of programs: with fewer, the kernel leaves out the functions of the
// slots.
const probeCount = 2

// loadProbeTarget is called with libxdpLock held, as are its methods.
func loadProbeTarget(open func(string) (*libbpf.Program, *dispatcherFile, error)) (*probeTarget, error) {
	prog, obj, err := open(dispatcherProgram)
	if err != nil {
		return nil, noDispatcher("libxdp's "+dispatcherObject+" can't be opened", err)
	}
	target := &probeTarget{obj, prog}
	version, err := obj.version()
	if err == nil {
		err = obj.Maps()[0].SetInitialValue(layoutConfig{Version: version, Count: probeCount}.encode())
	}
	if err != nil {
		target.Close()
		return nil, noDispatcher("libxdp's "+dispatcherObject+" isn't as expected", err)
	}
	if err := obj.Load(); err != nil {
		target.Close()
		return nil, noDispatcher("the kernel doesn't load a dispatcher ("+cause(err)+")", err)
	}
	return target, nil
}

// replace puts a program in place of a slot's function: these instructions, or
// libxdp's own with none.
func (t *probeTarget) replace(insns []libbpf.Insn) error {
	err := t.try(libbpf.ProgTypeExt, 0, slotFunction(0, probeCount), insns)
	if err != nil {
		return noDispatcher("the kernel can't replace a function of a running program ("+cause(err)+")", err)
	}
	return nil
}

// try loads a program for a function of the target, and links it there.
func (t *probeTarget) try(progType libbpf.ProgType, attach libbpf.AttachType, function string, insns []libbpf.Insn) error {
	prog, obj, err := openDispatcher(passProgram)
	if err != nil {
		return err
	}
	defer obj.Close()
	for _, step := range []func() error{
		func() error { return prog.SetType(progType) },
		func() error { return prog.SetExpectedAttachType(attach) },
		func() error { return prog.SetAttachTarget(t.prog.FD(), function) },
		func() error {
			if insns == nil {
				return nil
			}
			return prog.SetInsns(insns)
		},
		obj.Load,
		func() error {
			l, err := libbpf.LinkCreate(prog.FD(), 0, attach, 0, 0)
			return errors.Join(err, l.Close())
		},
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// openDispatcher opens libxdp's dispatcher object with only one of its programs
// to be loaded.
func openDispatcher(name string) (*libbpf.Program, *dispatcherFile, error) {
	owner, err := findDispatcher()
	if err != nil {
		return nil, nil, err
	}
	return (&dispatcherFile{Object: owner.Object(), owner: owner}).only(name)
}

// findDispatcher has a static binary use the dispatcher of the host's libxdp too,
// as the native tools do, and only without one that of its own libxdp.
func findDispatcher() (*libxdp.Program, error) {
	if libxdp.Static {
		if dir := getenv(envObjectPath); dir != "" {
			return libxdp.OpenFile(filepath.Join(dir, dispatcherObject), "", "")
		}
		path := filepath.Join(libxdp.ObjectDir, dispatcherObject)
		if _, err := os.Stat(path); err == nil {
			return libxdp.OpenFile(path, "", "")
		}
	}
	return libxdp.FindFile(dispatcherObject, "", "")
}

// openOwnDispatcher does the same with xdpmux's own of that version, which hosts
// programs that change packet data where libxdp's doesn't. locked marks it as such.
func openOwnDispatcher(version int, locked bool) (*libbpf.Program, *dispatcherFile, error) {
	data, err := bpfdispatcher.Object(version)
	if err != nil {
		return nil, nil, errors.Join(errNoOwnDispatcher, err)
	}
	name := ownObject
	if locked {
		name = lockedObject
	}
	obj, err := libbpf.OpenMem(data, libbpf.OpenOptions{Name: name})
	if err != nil {
		return nil, nil, err
	}
	return (&dispatcherFile{Object: obj}).only(dispatcherProgram)
}

// errNoOwnDispatcher says that the binary was built without make.
var errNoOwnDispatcher = errors.New("this binary has no dispatcher of its own; build it with make")

// only lets one program be loaded.
func (f *dispatcherFile) only(name string) (*libbpf.Program, *dispatcherFile, error) {
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
		return nil, nil, fmt.Errorf("%s has no program %s", dispatcherObject, name)
	}
	return found, f, nil
}

// dispatcherFile is an object with a dispatcher.
type dispatcherFile struct {
	*libbpf.Object
	owner *libxdp.Program // of a borrowed object; nil: it isn't borrowed
}

// version is the version of the protocol that the object is for.
func (f *dispatcherFile) version() (int, error) {
	btf := f.BTF()
	if btf == nil {
		return 0, errors.New(dispatcherObject + " has no type information")
	}
	id, err := btf.Find("dispatcher_version", libbpf.KindVar)
	if err != nil {
		return 0, err
	}
	version, err := btf.Uint(id)
	return int(version), err
}

func (f *dispatcherFile) Close() error {
	return errors.Join(f.Object.Close(), f.owner.Close())
}

// dispatcherVersion is the version that chains get here.
func dispatcherVersion() (int, error) {
	libxdpLock.Lock()
	defer libxdpLock.Unlock()
	_, file, err := openDispatcher(dispatcherProgram)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	return file.version()
}

// cause is the errno's text alone.
func cause(err error) string {
	var e *libbpf.Error
	if errors.As(err, &e) {
		return libbpf.Strerror(e.Errno)
	}
	return err.Error()
}
