package object

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// OpenSource opens the object that a running program was loaded from. Without a section and a
// name in p, the program of the object is meant that is called as the running one.
func OpenSource(ctx context.Context, p xdp.Program, runs xdp.Loaded) (*Program, error) {
	o, err := Open(ctx, p)
	if err != nil || p.Section != "" || p.Name != "" || o.Bpf.Name() == runs.Name || !o.hasXDP(runs.Name) {
		return o, err
	}
	o.Close()
	p.Name, p.Data = runs.Name, o.Spec.Data
	return Open(ctx, p)
}

// GoOnFor makes the load of the program use all maps of a running one, those of its variables
// and constants included, so that it can go on in that one's place. The running one, on the
// interface of that index, must have been loaded from the same object. Only the kernel can tell a
// program's tag: so the program is loaded to compare it, and let go again. Calling it again does
// nothing. Errors: [xdp.ErrNotSource], and those of [NewSpecimen].
func (o *Program) GoOnFor(progFD, ifindex int) error {
	if o.uses != nil {
		return nil
	}
	runs, err := loaded.ByFD(progFD)
	if err != nil {
		return privilege.Explain(err)
	}
	info, err := libbpf.ProgInfoByFD(progFD)
	if err != nil {
		return err
	}
	if o.Kept, err = o.mapsOfRunning(runs.Loaded, info.MapIDs, ifindex); err != nil {
		return err
	}
	for i, name := range o.names {
		if o.Fills(name) { // the old one takes no programs that a component can call
			o.Kept[i] = 0
		}
	}
	o.uses = append([]uint32{}, info.MapIDs...)
	return o.reuseMaps()
}

func (o *Program) hasXDP(name string) bool {
	return slices.ContainsFunc(o.Obj.Programs(), func(p *libbpf.Program) bool { return p.Name() == name && CanBeXDP(p) })
}

// mapsOfRunning finds for each map of the object the one that a running program uses for it.
// 0 stands for a map that this program doesn't use.
func (o *Program) mapsOfRunning(runs xdp.Loaded, ids []uint32, ifindex int) ([]uint32, error) {
	s, err := NewSpecimen(o.Spec, ifindex)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if s.Tag != runs.Tag {
		return nil, o.notSource(runs, fmt.Sprintf("its program %q has the tag %s, and that which runs %s", o.Bpf.Name(), s.Tag, runs.Tag))
	}
	used, err := libbpf.ProgInfoByFD(s.o.Bpf.FD())
	if err != nil {
		return nil, err
	}
	kept := make([]uint32, len(o.names))
	for i, m := range s.o.Obj.Maps() {
		ours, err := libbpf.MapInfoByFD(m.FD())
		if err != nil {
			return nil, err
		}
		// See counterpart. After the maps that instructions name, libbpf has the kernel list
		// the object's constants, even if no instruction names them.
		at := slices.Index(used.MapIDs, ours.ID)
		if at < 0 {
			continue
		}
		var theirs *libbpf.MapInfo
		if at < len(ids) {
			if theirs, err = loaded.MapInfo(ids[at]); err != nil {
				return nil, privilege.Explain(err)
			}
		}
		switch {
		case theirs != nil && sameShape(ours, theirs):
			kept[i] = theirs.ID
		case !isConstant(o.names[i]):
			return nil, o.notSource(runs, fmt.Sprintf("program %d uses no map that could be its map %s", runs.ID, o.names[i]))
		}
	}
	return kept, nil
}

// sameShape says whether the same instructions can use both maps.
func sameShape(a, b *libbpf.MapInfo) bool {
	return a.Type == b.Type && a.KeySize == b.KeySize && a.ValueSize == b.ValueSize
}

func (o *Program) notSource(runs xdp.Loaded, why string) error {
	return &xdp.Error{Kind: xdp.ErrNotSource, Msg: fmt.Sprintf("%s isn't what %s was loaded from: %s", o.Called, runs, why),
		Remedy: "name the object that it was loaded from, and the section or the name of its program"}
}

// checkAnew looks whether a program that was loaded anew uses the maps of the running one. A
// pin may have brought in another map.
func (o *Program) checkAnew() error {
	if o.uses == nil {
		return nil
	}
	info, err := libbpf.ProgInfoByFD(o.Bpf.FD())
	if err != nil {
		return err
	}
	for i, id := range o.Kept {
		if id == 0 || slices.Contains(info.MapIDs, id) {
			continue
		}
		return &xdp.Error{Kind: xdp.ErrInvalid,
			Msg:    fmt.Sprintf("map %s of %s can't be kept: another map is pinned at %s", o.names[i], o.Called, o.Obj.Maps()[i].PinPath()),
			Remedy: "leave the pin path out, or remove the pin"}
	}
	return nil
}

// explainProgramMaps finds the kept map that keeps a program from being loaded anew: the
// kernel lets only programs of one kind use a map that holds programs. nil: there is none.
func explainProgramMaps(o *Program, err error) error {
	if o.uses == nil || !errors.Is(err, syscall.EINVAL) {
		return nil
	}
	for i, m := range o.Obj.Maps() {
		switch m.Type() {
		case libbpf.MapTypeProgArray, libbpf.MapTypeDevMap, libbpf.MapTypeDevMapHash, libbpf.MapTypeCPUMap:
		default:
			continue
		}
		if !o.keeps(i) {
			continue
		}
		return &xdp.Error{Kind: xdp.ErrObject, Err: err,
			Msg: fmt.Sprintf("program %q of %s can't be loaded anew with the maps of the running one: the kernel lets only programs like that one use its %s %s",
				o.Bpf.Name(), o.Called, m.Type(), o.names[i]),
			Remedy: "unload it, and load it again as part of a chain, with new maps"}
	}
	return nil
}
