package object

import (
	"fmt"
	"slices"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/internal/objectfile"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// SlotsOf are the slots of program arrays by which others call that program of the object.
func (o *File) SlotsOf(program string) []objectfile.TailCall {
	return slices.DeleteFunc(slices.Clone(o.TailCalls), func(c objectfile.TailCall) bool { return c.Program != program })
}

// Fills says whether the object fills that map with programs. Such an array is new with every
// load: programs of the same object belong together.
func (o *File) Fills(array string) bool {
	return slices.ContainsFunc(o.TailCalls, func(c objectfile.TailCall) bool { return c.Map == array })
}

// CheckTailCalls finds a slot of a program array that can't be filled. Errors: [xdp.ErrObject],
// [xdp.ErrMapSize].
func (o *File) CheckTailCalls(file string) error {
	if len(o.TailCalls) == 0 {
		return nil
	}
	all, maps := o.Programs(), o.Maps()
	for _, call := range o.TailCalls {
		called := native.Named(all, call.Program)
		i := slices.IndexFunc(maps, func(m *libbpf.Map) bool { return m.Name() == call.Map })
		switch {
		case called == nil || i < 0:
			return &xdp.Error{Kind: xdp.ErrObject, Msg: fmt.Sprintf("%s fills slot %d of its map %q with %q, and has no such program or map", file, call.Slot, call.Map, call.Program)}
		case !CanBeXDP(called):
			return &xdp.Error{Kind: xdp.ErrObject,
				Msg:    fmt.Sprintf("slot %d of map %q of %s calls program %q, which is not an XDP program but %s", call.Slot, call.Map, file, call.Program, called.Type()),
				Remedy: "an XDP program can call XDP programs only"}
		case call.Slot >= uint32(maps[i].MaxEntries()):
			return &xdp.Error{Kind: xdp.ErrMapSize,
				Msg:    fmt.Sprintf("map %q of %s has %d entries, and slot %d is to call %q", call.Map, file, uint32(maps[i].MaxEntries()), call.Slot, call.Program),
				Remedy: fmt.Sprintf("give it at least %d entries", call.Slot+1)}
		}
	}
	return nil
}
