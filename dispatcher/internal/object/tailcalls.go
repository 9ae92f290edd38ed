package object

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/internal/objectfile"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// ProgramArrays are the object's maps that hold programs to be called.
func (o *Program) ProgramArrays() []*libbpf.Map {
	return slices.DeleteFunc(o.Obj.Maps(), func(m *libbpf.Map) bool { return m.Type() != libbpf.MapTypeProgArray })
}

// fillArrays loads the programs that the object's program arrays call, with the maps of the
// program that is loaded, and puts them there. The kernel takes programs only that expect to be
// attached as the one that the array was made for. An array that others use already keeps
// what it holds.
func (o *Program) fillArrays(expected libbpf.AttachType) error {
	maps := o.Obj.Maps()
	array := func(c objectfile.TailCall) int { return slices.Index(o.names, c.Map) }
	calls := slices.DeleteFunc(slices.Clone(o.Obj.TailCalls), func(c objectfile.TailCall) bool {
		return o.keeps(array(c)) || maps[array(c)].PinPath() != "" // new ones have no pin yet
	})
	var names []string
	for _, c := range calls {
		names = append(names, c.Program)
	}
	if len(names) == 0 {
		return nil
	}
	targets, err := o.loadTargets(names, expected)
	if err != nil {
		return o.explainTargets(names, expected, err)
	}
	defer targets.Close()
	for _, c := range calls {
		key := binary.NativeEndian.AppendUint32(nil, c.Slot)
		value := binary.NativeEndian.AppendUint32(nil, uint32(targets.FindProgram(c.Program).FD()))
		if err := libbpf.MapUpdate(maps[array(c)].FD(), key, value, libbpf.UpdateAny); err != nil {
			return &xdp.Error{Kind: xdp.ErrObject, Err: err,
				Msg: fmt.Sprintf("map %q of %s can't call program %q by its slot %d: %s", c.Map, o.Called, c.Program, c.Slot, native.Cause(err))}
		}
	}
	return nil
}

// loadTargets loads those programs of the object with the maps of the one that is loaded.
func (o *Program) loadTargets(names []string, expected libbpf.AttachType) (_ *File, err error) {
	t, err := OpenFile(o.Called, o.Obj.File.WithoutFrags(), libbpf.OpenOptions{LogSize: LogSize})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			t.Close()
		}
	}()
	for i, m := range o.Obj.Maps() {
		if err := errors.Join(t.Maps()[i].SetPinPath(""), t.Maps()[i].ReuseFD(m.FD())); err != nil {
			return nil, err
		}
	}
	for _, p := range t.Programs() {
		if !slices.Contains(names, p.Name()) {
			if err := p.SetAutoload(false); err != nil {
				return nil, err
			}
			continue
		}
		for _, step := range []func() error{
			func() error { return p.SetType(libbpf.ProgTypeXDP) },
			func() error { return p.SetExpectedAttachType(expected) },
			func() error { return p.SetFlags(o.Bpf.Flags()) },
		} {
			if err := step(); err != nil {
				return nil, err
			}
		}
	}
	if err := t.Load(); err != nil {
		return nil, err
	}
	return t, nil
}

// explainTargets finds out which of these programs the kernel has refused: libbpf doesn't tell.
func (o *Program) explainTargets(names []string, expected libbpf.AttachType, err error) error {
	if refused := privilege.Denied(err); refused != nil {
		return refused
	}
	for _, name := range names {
		loaded, err := o.loadTargets([]string{name}, expected)
		if err == nil {
			loaded.Close()
			continue
		}
		var failed *libbpf.Error
		if errors.As(err, &failed) && failed.Log != "" {
			e := explainVerifier(name, o.Called, failed.Log, err)
			e.Msg += fmt.Sprintf(", which program %q calls", o.Bpf.Name())
			return e
		}
		return (&xdp.Error{Kind: xdp.ErrSystem, Err: err,
			Msg: fmt.Sprintf("can't load program %q of %s, which program %q calls: %s", name, o.Called, o.Bpf.Name(), native.Cause(err))}).
			Advise("%v", xdp.Hint{To: xdp.HintLibbpfLog})
	}
	return err
}
