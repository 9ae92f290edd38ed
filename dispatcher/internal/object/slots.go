package object

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/internal/objectfile"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// call is a program that a slot of a program array is to hold.
type call struct {
	objectfile.TailCall
	other *callee // the object that it is from; nil: that of the program that calls
}

// callee is another object.
type callee struct {
	file string
	data []byte
}

// withData reads the objects of programs that are called. A file is read once.
func withData(ctx context.Context, calls []xdp.TailCall) (all []xdp.TailCall, err error) {
	files := map[string][]byte{}
	for _, t := range calls {
		if t.File != "" && t.Data == nil {
			if files[t.File] == nil {
				if files[t.File], err = ReadFile(ctx, t.File); err != nil {
					return nil, err
				}
			}
			t.Data = files[t.File]
		}
		all = append(all, t)
	}
	return all, nil
}

// callsOf are the calls that an object declares, and those that are asked for. A slot of these is
// not the object's.
func callsOf(o *File, asked []xdp.TailCall) (all []call, err error) {
	for _, c := range o.TailCalls {
		if !slices.ContainsFunc(asked, func(t xdp.TailCall) bool { return t.Map == c.Map && t.Slot == c.Slot }) {
			all = append(all, call{TailCall: c})
		}
	}
	others := map[string]*callee{}
	for _, t := range asked {
		c := call{TailCall: objectfile.TailCall{Map: t.Map, Slot: t.Slot, Program: t.Name}}
		if t.Data != nil {
			if c.other = others[t.File]; c.other == nil || t.File == "" {
				c.other = &callee{cmp.Or(t.File, unnamed), t.Data}
				others[t.File] = c.other
			}
			if c.Program, err = c.other.choose(t.Name); err != nil {
				return nil, err
			}
		}
		all = append(all, c)
	}
	return all, nil
}

// choose finds the program of the object that is called so; without a name, the first.
func (c *callee) choose(name string) (string, error) {
	o, err := OpenFile(c.file, c.data, libbpf.OpenOptions{})
	if err != nil {
		return "", err
	}
	defer o.Close()
	p, err := o.Pick(xdp.Program{File: c.file, Name: name}, o.Programs())
	if err != nil {
		return "", err
	}
	return p.Name(), nil
}

// SlotsOf are the slots of program arrays by which others call that program of the object.
func (o *File) SlotsOf(program string) []objectfile.TailCall {
	return slices.DeleteFunc(slices.Clone(o.TailCalls), func(c objectfile.TailCall) bool { return c.Program != program })
}

// isCalled says whether others call that program of the object, by its declarations or by p.
func (o *File) isCalled(p xdp.Program, program string) bool {
	return len(o.SlotsOf(program)) > 0 ||
		slices.ContainsFunc(p.TailCalls, func(t xdp.TailCall) bool { return t.Data == nil && t.Name == program })
}

// Fills says whether the load fills that map with programs. Such an array is new with every
// load: programs of the same object belong together.
func (o *Program) Fills(array string) bool {
	return slices.ContainsFunc(o.calls, func(c call) bool { return c.Map == array })
}

// MakesTailCalls says whether the load fills any.
func (o *Program) MakesTailCalls() bool { return len(o.calls) > 0 }

// KernelCalls are what the program and those that it calls call of the kernel; see
// objectfile.File.Calls.
func (o *Program) KernelCalls() (helpers []int32, functions []string, err error) {
	helpers, functions = o.Obj.File.Calls(o.Bpf.Name())
	for _, c := range o.calls {
		file := o.Obj.File
		if c.other != nil {
			if file, err = objectfile.Parse(c.other.data); err != nil {
				return nil, nil, explainObject(c.other.file, err)
			}
		}
		h, f := file.Calls(c.Program)
		helpers, functions = append(helpers, h...), append(functions, f...)
	}
	return helpers, functions, nil
}

// CheckTailCalls finds a slot of a program array that the object declares and that can't be
// filled. Errors: [xdp.ErrObject], [xdp.ErrMapSize].
func (o *File) CheckTailCalls(file string) error {
	calls, err := callsOf(o, nil)
	if err != nil {
		return err
	}
	return o.checkCalls(file, calls)
}

func (o *File) checkCalls(file string, calls []call) error {
	if len(calls) == 0 {
		return nil
	}
	all, maps := o.Programs(), o.Maps()
	for _, c := range calls {
		i := slices.IndexFunc(maps, func(m *libbpf.Map) bool { return m.Name() == c.Map })
		if i < 0 || maps[i].Type() != libbpf.MapTypeProgArray {
			var arrays []string
			for _, m := range maps {
				if m.Type() == libbpf.MapTypeProgArray {
					arrays = append(arrays, m.Name())
				}
			}
			return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("%s has no program array %q", file, c.Map), Remedy: fmt.Sprintf("its maps of that type: %q", arrays)}
		}
		if c.Slot >= uint32(maps[i].MaxEntries()) {
			return &xdp.Error{Kind: xdp.ErrMapSize,
				Msg:    fmt.Sprintf("map %q of %s has %d entries, and slot %d is to call %q", c.Map, file, uint32(maps[i].MaxEntries()), c.Slot, c.Program),
				Remedy: fmt.Sprintf("give it at least %d entries", c.Slot+1)}
		}
		if err := o.checkMetadata(file, c); err != nil {
			return err
		}
		if c.other != nil {
			continue
		}
		switch called := native.Named(all, c.Program); {
		case called == nil:
			var names []string
			for _, p := range all {
				names = append(names, p.Name())
			}
			return &xdp.Error{Kind: xdp.ErrObject, Msg: fmt.Sprintf("slot %d of map %q of %s is to call %q, and the file has no such program", c.Slot, c.Map, file, c.Program),
				Remedy: fmt.Sprintf("its programs: %q", names)}
		case !CanBeXDP(called):
			return &xdp.Error{Kind: xdp.ErrObject,
				Msg:    fmt.Sprintf("slot %d of map %q of %s calls program %q, which is not an XDP program but %s", c.Slot, c.Map, file, c.Program, called.Type()),
				Remedy: "an XDP program can call XDP programs only"}
		}
	}
	return nil
}

// checkMetadata refuses to call a program that asks for metadata. That is bound to a device, and the
// kernel puts no such program into an array.
func (o *File) checkMetadata(file string, c call) (err error) {
	parsed, from := o.File, ""
	if c.other != nil {
		from = " of " + c.other.file
		if parsed, err = objectfile.Parse(c.other.data); err != nil {
			return explainObject(c.other.file, err)
		}
	}
	asks, _ := metadataOf(parsed, c.Program)
	if len(asks) == 0 {
		return nil
	}
	return &xdp.Error{Kind: xdp.ErrObject,
		Msg: fmt.Sprintf("slot %d of map %q of %s calls program %q%s, which asks the driver for metadata (%s), and only a program that nobody calls may",
			c.Slot, c.Map, file, c.Program, from, strings.Join(asks, ", ")),
		Remedy: "ask in the program that calls, or in one before it in the chain"}
}
