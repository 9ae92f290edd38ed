package protocol

import (
	"errors"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
)

// ProbeFreplace tries what a dispatcher needs of the kernel: to load libxdp's own
// and to link a program in place of one of its functions. Nothing is attached to
// an interface, and nothing stays.
func ProbeFreplace() error {
	native.Lock.Lock()
	defer native.Lock.Unlock()
	target, err := LoadProbeTarget(OpenDispatcher)
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

// LoadProbeTarget is called with native.Lock held, as are its methods.
func LoadProbeTarget(open func(string) (*libbpf.Program, *Object, error)) (*ProbeTarget, error) {
	prog, obj, err := open(DispatcherProgram)
	if err != nil {
		return nil, NoDispatcher("libxdp's "+DispatcherObject+" can't be opened", err)
	}
	target := &ProbeTarget{obj, prog}
	version, err := obj.Version()
	if err == nil {
		err = obj.Maps()[0].SetInitialValue(Config{Version: version, Count: probeCount}.Encode())
	}
	if err != nil {
		target.Close()
		return nil, NoDispatcher("libxdp's "+DispatcherObject+" isn't as expected", err)
	}
	if err := obj.Load(); err != nil {
		target.Close()
		return nil, NoDispatcher("the kernel doesn't load a dispatcher ("+native.Cause(err)+")", err)
	}
	return target, nil
}

// Replace puts a program in place of a slot's function: these instructions, or
// libxdp's own with none.
func (t *ProbeTarget) Replace(insns []libbpf.Insn) error {
	err := t.Try(libbpf.ProgTypeExt, 0, SlotFunction(0, probeCount), insns)
	if err != nil {
		return NoDispatcher("the kernel can't replace a function of a running program ("+native.Cause(err)+")", err)
	}
	return nil
}

// Try loads a program for a function of the target, and links it there.
func (t *ProbeTarget) Try(progType libbpf.ProgType, attach libbpf.AttachType, function string, insns []libbpf.Insn) error {
	prog, obj, err := OpenDispatcher(passProgram)
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
