package dispatcher

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/value"
)

// keepMaps makes the programs that replace others use their maps, where that was
// asked for. It is done once: what has been chosen stays when a lost race is started
// over.
func (c *commit) keepMaps(old *running) error {
	for i, r := range c.Replace {
		o := c.replaces[i]
		if !r.KeepMaps || o.kept != nil {
			continue
		}
		for _, m := range old.members() {
			if m.ID != r.ID {
				continue
			}
			if err := o.chooseMaps(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// chooseMaps finds the maps of from that o has too.
func (o *opened) chooseMaps(from member) error {
	theirs, err := mapsOf(from.fd.Int())
	if err != nil {
		return err
	}
	maps := o.obj.Maps()
	kept := make([]uint32, len(maps))
	for i, m := range maps {
		name := o.mapName(m)
		if !m.Internal() {
			name = shortName(name)
		}
		there := theirs[name]
		if there == nil || isConstant(name) || m.Internal() != (there.variables != nil) {
			continue
		}
		if err := o.canKeep(m, there, from); err != nil {
			return err
		}
		kept[i] = there.ID
	}
	o.kept = kept
	return o.reuseMaps()
}

// canKeep says whether a map of the object has the layout of the one that from uses.
func (o *opened) canKeep(m *libbpf.Map, there *runningMap, from member) error {
	if m.Internal() {
		variable, differ, err := o.compareVariables(there, m)
		if err != nil || !differ {
			return err
		}
		section := o.mapName(m)
		return &Error{Kind: ErrInvalid,
			Msg:    fmt.Sprintf("the global variables in %s can't be kept: %s of program %d (%s) is not as in %s", section, variable, from.ID, from.Name, o.spec.File),
			Remedy: fmt.Sprintf("leave them as they are and put new ones into a section such as %s.new, or replace without keeping maps", section)}
	}
	if m.MaxEntries() == 0 { // libbpf will choose
		there.MaxEntries = 0
	}
	if sameLayout(m, there.MapInfo) {
		return nil
	}
	return &Error{Kind: ErrInvalid,
		Msg: fmt.Sprintf("map %s can't be kept: program %d (%s) has %s, %s has %s", m.Name(), from.ID, from.Name,
			layoutText(there.Type, there.KeySize, there.ValueSize, there.MaxEntries), o.spec.File,
			layoutText(m.Type(), m.KeySize(), m.ValueSize(), m.MaxEntries())),
		Remedy: "keep the layout, give the map another name, or replace without keeping maps"}
}

// mapName is what a map is known by: one of global variables by their section, as
// libbpf puts the object's name before it.
func (o *opened) mapName(m *libbpf.Map) string {
	if !m.Internal() {
		return m.Name()
	}
	if id := m.BTFValueTypeID(); id != 0 {
		return o.obj.BTF().TypeName(id)
	}
	return m.Name() // .rodata.str1.1 and the like: literals, no variables
}

// isConstant says whether a section's values belong to the object, not to what has
// happened since it was loaded.
func isConstant(section string) bool {
	return strings.HasPrefix(section, ".rodata") || section == ".kconfig"
}

// compareVariables names the first global variable in which a loaded map and one of
// the object differ, if they do.
func (o *opened) compareVariables(there *runningMap, m *libbpf.Map) (variable string, differ bool, err error) {
	ours, err := value.FromBTF(o.obj.BTF(), m.BTFValueTypeID())
	if err != nil {
		return "", false, err
	}
	variable, differ = there.variables.Difference(ours)
	return variable, differ, nil
}

// reuseMaps makes the load use the maps that were chosen.
func (o *opened) reuseMaps() error {
	for i, m := range o.obj.Maps() {
		if !o.keeps(i) {
			continue
		}
		fd, err := libbpf.MapByID(o.kept[i])
		if err != nil {
			return fmt.Errorf("map %s: %w", m.Name(), err)
		}
		err = m.ReuseFD(fd.Int())
		fd.Close()
		if err != nil {
			return fmt.Errorf("map %s: %w", m.Name(), err)
		}
	}
	return nil
}

// keeps says whether the object's map of that index is to be one that is loaded.
func (o *opened) keeps(i int) bool { return o.kept != nil && o.kept[i] != 0 }

// nameMaps notes, after the load, which maps were kept and which are new. A map that
// the load has found at its pin is none of the old program's, unless that used it too.
func (o *opened) nameMaps() error {
	o.keptMaps, o.newMaps = []string{}, []string{}
	for i, m := range o.obj.Maps() {
		info, err := libbpf.MapInfoByFD(m.FD())
		if err != nil {
			return err
		}
		if name := o.mapName(m); o.keeps(i) && o.kept[i] == info.ID {
			o.keptMaps = append(o.keptMaps, name)
		} else {
			o.newMaps = append(o.newMaps, name)
		}
	}
	return nil
}

// runningMap is a map of a loaded program.
type runningMap struct {
	*libbpf.MapInfo
	variables *value.Layout // of one of global variables
}

// mapsOf are the maps of a program: those of global variables by their section, the
// others by the kernel's name, which is cut. Those that share one are left out:
// nobody could tell which is which.
func mapsOf(progFD int) (map[string]*runningMap, error) {
	info, err := libbpf.ProgInfoByFD(progFD)
	if err != nil {
		return nil, err
	}
	byName := map[string]*runningMap{}
	for _, id := range info.MapIDs {
		m, err := mapInfo(id)
		if errors.Is(err, syscall.ENOENT) {
			continue
		}
		if err != nil {
			return nil, err
		}
		name, variables, err := globals(m)
		if err != nil {
			return nil, err
		}
		if variables == nil {
			name = m.Name
		}
		if _, twice := byName[name]; twice {
			byName[name] = nil
		} else {
			byName[name] = &runningMap{m, variables}
		}
	}
	return byName, nil
}

// globals are the section and the variables of a loaded map; nil: it is another.
func globals(m *libbpf.MapInfo) (section string, variables *value.Layout, err error) {
	if m.BTFID == 0 || m.BTFValueTypeID == 0 || m.BTFKeyTypeID != 0 {
		return "", nil, nil
	}
	btf, err := libbpf.LoadBTF(m.BTFID)
	if err != nil {
		return "", nil, err
	}
	defer btf.Close()
	t, err := btf.Type(m.BTFValueTypeID)
	if err != nil || t.Kind != libbpf.KindDatasec {
		return "", nil, err
	}
	variables, err = value.FromBTF(btf, t.ID)
	return t.Name, variables, err
}
