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

// fillArrays loads the programs that the program arrays are to call, with the maps of the
// program that is loaded, and puts them there. The kernel takes programs only that expect to be
// attached as the one that the array was made for. An array that others use already keeps
// what it holds.
func (o *Program) fillArrays(expected libbpf.AttachType) error {
	maps := o.Obj.Maps()
	byObject := map[*callee][]call{}
	for _, c := range o.calls {
		i := slices.Index(o.names, c.Map)
		if o.keeps(i) || maps[i].PinPath() != "" { // new ones have no pin yet
			continue
		}
		byObject[c.other] = append(byObject[c.other], c)
	}
	for other, calls := range byObject {
		var names []string
		for _, c := range calls {
			names = append(names, c.Program)
		}
		targets, err := o.loadTargets(other, names, expected)
		if err != nil {
			return o.explainTargets(other, names, expected, err)
		}
		err = o.put(targets, calls)
		targets.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// put puts programs into the arrays.
func (o *Program) put(targets *File, calls []call) error {
	for _, c := range calls {
		array := o.Obj.Maps()[slices.Index(o.names, c.Map)]
		key := binary.NativeEndian.AppendUint32(nil, c.Slot)
		value := binary.NativeEndian.AppendUint32(nil, uint32(targets.FindProgram(c.Program).FD()))
		if err := libbpf.MapUpdate(array.FD(), key, value, libbpf.UpdateAny); err != nil {
			return &xdp.Error{Kind: xdp.ErrObject, Err: err,
				Msg: fmt.Sprintf("map %q of %s can't call program %q by its slot %d: %s", c.Map, o.Called, c.Program, c.Slot, native.Cause(err))}
		}
	}
	return nil
}

// openTargets opens the object of programs that are called; nil: that of the program itself. It
// uses the maps of the program that is loaded: all of its own, and of another those of the
// same names.
func (o *Program) openTargets(other *callee) (_ *File, err error) {
	file, parsed := o.Called, o.Obj.File
	if other != nil {
		file = other.file
		if parsed, err = objectfile.Parse(other.data); err != nil {
			return nil, explainObject(file, err)
		}
	}
	t, err := OpenFile(file, parsed.WithoutFrags(), libbpf.OpenOptions{LogSize: LogSize})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			t.Close()
		}
	}()
	for i, m := range t.Maps() {
		if err := m.SetPinPath(""); err != nil {
			return nil, err
		}
		if other != nil {
			if i = slices.Index(o.names, m.Name()); i < 0 || m.Internal() {
				continue
			}
			ours, err := libbpf.MapInfoByFD(o.Obj.Maps()[i].FD())
			if err != nil {
				return nil, err
			}
			if want, has := layoutOf(m), layoutOfInfo(ours); want != has {
				return nil, &xdp.Error{Kind: xdp.ErrObject, Msg: fmt.Sprintf("map %q of %s is %s, and that of %s, which calls it, is %s", m.Name(), file, want, o.Called, has),
					Remedy: "declare it alike in both, or give one another name"}
			}
		}
		if err := m.ReuseFD(o.Obj.Maps()[i].FD()); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// loadTargets loads those programs of that object.
func (o *Program) loadTargets(other *callee, names []string, expected libbpf.AttachType) (_ *File, err error) {
	t, err := o.openTargets(other)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			t.Close()
		}
	}()
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
func (o *Program) explainTargets(other *callee, names []string, expected libbpf.AttachType, err error) error {
	var explained *xdp.Error
	if errors.As(err, &explained) {
		return err
	}
	if refused := privilege.Denied(err); refused != nil {
		return refused
	}
	file := o.Called
	if other != nil {
		file = other.file
	}
	for _, name := range names {
		loaded, err := o.loadTargets(other, []string{name}, expected)
		if err == nil {
			loaded.Close()
			continue
		}
		var failed *libbpf.Error
		if errors.As(err, &failed) && failed.Log != "" {
			e := explainVerifier(name, file, failed.Log, err)
			e.Msg += fmt.Sprintf(", which program %q calls", o.Bpf.Name())
			return e
		}
		return (&xdp.Error{Kind: xdp.ErrSystem, Err: err,
			Msg: fmt.Sprintf("can't load program %q of %s, which program %q calls: %s", name, file, o.Bpf.Name(), native.Cause(err))}).
			Advise("%v", xdp.Hint{To: xdp.HintLibbpfLog})
	}
	return err
}
