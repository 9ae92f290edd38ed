package object

import (
	"fmt"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/value"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// ChooseMaps finds the maps of from, whose descriptor is progFD, that o has too.
func (o *Program) ChooseMaps(progFD int, from xdp.Loaded) error {
	theirs, err := mapsOf(progFD)
	if err != nil {
		return err
	}
	declared := declaredMaps(o.Obj.BTF())
	maps := o.Obj.Maps()
	kept := make([]uint32, len(maps))
	for i, m := range maps {
		name := o.names[i]
		if isConstant(name) || o.Fills(name) {
			continue
		}
		there, err := theirs.find(name, m.Internal())
		if err != nil {
			return cantKeep(name, fmt.Sprintf("of program %d (%s), %v", from.ID, from.Name, err),
				"give maps names that differ in their first 15 characters, or replace without keeping maps")
		}
		if there == nil {
			continue
		}
		if err := o.canKeep(m, name, there, declared[name], from); err != nil {
			return err
		}
		kept[i] = there.ID
	}
	o.Kept = kept
	return o.reuseMaps()
}

func cantKeep(name, why, remedy string) error {
	return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("map %s can't be kept: %s", name, why), Remedy: remedy}
}

// canKeep says whether a map of the object is like the one that from uses.
func (o *Program) canKeep(m *libbpf.Map, name string, there *RunningMap, ours *declaredMap, from xdp.Loaded) error {
	if m.Internal() {
		variable, differ, err := o.compareVariables(there, m)
		if err != nil || !differ {
			return err
		}
		return &xdp.Error{Kind: xdp.ErrInvalid,
			Msg:    fmt.Sprintf("the global variables in %s can't be kept: %s of program %d (%s) is not as in %s", name, variable, from.ID, from.Name, o.Called),
			Remedy: fmt.Sprintf("leave them as they are and put new ones into a section such as %s.new, or replace without keeping maps", name)}
	}
	want, has := layoutOf(m), layoutOfInfo(there.MapInfo)
	if want.entries == 0 { // libbpf will choose
		has.entries = 0
	}
	const remedy = "keep the layout, give the map another name, or replace without keeping maps"
	if want != has {
		return cantKeep(name, fmt.Sprintf("program %d (%s) has %s, %s has %s", from.ID, from.Name, has, o.Called, want), remedy)
	}
	if ours == nil {
		return nil // declared without types
	}
	if difference := there.declaredMap.difference(ours, want.typ); difference != "" {
		return cantKeep(name, fmt.Sprintf("%s of program %d (%s) is not as in %s", difference, from.ID, from.Name, o.Called), remedy)
	}
	return nil
}

// mapName is what a map is known by. A map of global variables is known by their section:
// libbpf puts the object's name before that. It has to be asked for before the load, as the
// load gives maps that are used again the type ids of another object.
func (o *File) mapName(m *libbpf.Map) string {
	if !m.Internal() {
		return m.Name()
	}
	if id := m.BTFValueTypeID(); id != 0 {
		return o.BTF().TypeName(id)
	}
	return m.Name() // .rodata.str1.1 and the like: literals, no variables
}

// compareVariables names the first global variable in which a loaded map and one of
// the object differ, if they do.
func (o *Program) compareVariables(there *RunningMap, m *libbpf.Map) (variable string, differ bool, err error) {
	ours, err := value.FromBTF(o.Obj.BTF(), m.BTFValueTypeID())
	if err != nil {
		return "", false, err
	}
	variable, differ = there.variables.Difference(ours)
	return variable, differ, nil
}

// nameMaps notes, after the load, which maps were kept and which are new. A map that the load
// has found at its pin counts as kept only if the old program used it too.
func (o *Program) nameMaps() error {
	o.KeptMaps, o.NewMaps = []string{}, []string{}
	for i, m := range o.Obj.Maps() {
		info, err := libbpf.MapInfoByFD(m.FD())
		if err != nil {
			return err
		}
		if name := o.names[i]; o.keeps(i) && o.Kept[i] == info.ID {
			o.KeptMaps = append(o.KeptMaps, name)
		} else {
			o.NewMaps = append(o.NewMaps, name)
		}
	}
	return nil
}
