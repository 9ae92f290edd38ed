package protocol

import (
	"errors"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
)

// ProbeFreplace tries what a dispatcher needs of the kernel: to load one and to link a
// program in place of one of its functions. Nothing is attached to an interface, and
// nothing stays.
func ProbeFreplace() error {
	target, err := LoadProbeTarget(OpenAny)
	if err != nil {
		return err
	}
	defer target.Close()
	return target.Replace(nil)
}

// ProbeTarget is a dispatcher that is loaded, attached nowhere, and there for
// others to be tried on.
type ProbeTarget struct {
	*Object
	prog *libbpf.Program
}

// probeCount is of programs: with fewer, the kernel leaves out the functions of the
// slots.
const probeCount = 2

// OpenAny opens the dispatcher of ours that every kernel takes.
func OpenAny() (*libbpf.Program, *Object, error) { return OpenOwnDispatcher(withoutLibxdp, false) }

// LoadProbeTarget loads the dispatcher that open opens.
func LoadProbeTarget(open func() (*libbpf.Program, *Object, error)) (*ProbeTarget, error) {
	prog, obj, err := open()
	if err != nil {
		return nil, err
	}
	target := &ProbeTarget{obj, prog}
	version, err := obj.Version()
	if err == nil {
		err = obj.Maps()[0].SetInitialValue(Config{Version: version, Count: probeCount}.Encode())
	}
	if err != nil {
		target.Close()
		return nil, err
	}
	if err := obj.Load(); err != nil {
		target.Close()
		return nil, NoDispatcher("the kernel doesn't load a dispatcher ("+native.Cause(err)+")", err)
	}
	return target, nil
}

// Slot is where a program can be loaded for: the dispatcher's descriptor, and the BTF id of one of
// its functions.
func (t *ProbeTarget) Slot() (fd int, function uint32, err error) {
	function, err = t.BTF().Find(SlotFunction(0, probeCount), libbpf.KindFunc)
	return t.prog.FD(), function, err
}

// Link puts a loaded program in place of that function, for a moment. It stands for
// bpf_link_create.
func (t *ProbeTarget) Link(progFD int) error {
	fd, function, err := t.Slot()
	if err != nil {
		return err
	}
	l, err := libbpf.LinkCreate(progFD, fd, 0, 0, function)
	return errors.Join(err, l.Close())
}

// Replace puts a program in place of a slot's function: these instructions, or
// with none a program that passes all.
func (t *ProbeTarget) Replace(insns []libbpf.Insn) error {
	err := t.Try(libbpf.ProgTypeExt, 0, SlotFunction(0, probeCount), insns)
	if err != nil {
		return NoDispatcher("the kernel can't replace a function of a running program ("+native.Cause(err)+")", err)
	}
	return nil
}

// Try loads a program for a function of the target, and links it there.
func (t *ProbeTarget) Try(progType libbpf.ProgType, attach libbpf.AttachType, function string, insns []libbpf.Insn) error {
	prog, obj, err := openOwn(withoutLibxdp, ownObject, passProgram)
	if err != nil {
		return err
	}
	defer obj.Close()
	id, err := t.BTF().Find(function, libbpf.KindFunc)
	if err != nil {
		return err
	}
	if insns != nil {
		if err := prog.SetInsns(insns); err != nil {
			return err
		}
	}
	if err := obj.Load(libbpf.Target{Program: prog, Type: progType, Attach: attach, FD: t.prog.FD(), BTFID: id}); err != nil {
		return err
	}
	l, err := libbpf.LinkCreate(prog.FD(), 0, attach, 0, 0)
	return errors.Join(err, l.Close())
}
