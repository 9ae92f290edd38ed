package objectfile

import (
	"debug/elf"
	"fmt"
	"strings"
)

// BTF is type information (Documentation/bpf/btf.rst of Linux) in which every type can
// be followed: what it refers to is there, and it doesn't contain itself.
type BTF struct {
	types   []byte
	strings []byte
	at      []uint32 // where each type starts; id 0 is void, and has no place
}

const (
	btfMagic      = 0xeb9f
	btfHeaderSize = 24

	// maxTypes is the most that the kernel takes.
	maxTypes = 1 << 20

	// maxTypeSize is the largest type of which libbpf can add the size to an offset.
	maxTypeSize = 1 << 29

	// maxNesting is how deep types may nest. The kernel takes 32.
	maxNesting = 64
)

// The kinds of types (BTF_KIND_).
const (
	kindInt = 1 + iota
	kindPtr
	kindArray
	kindStruct
	kindUnion
	kindEnum
	kindFwd
	kindTypedef
	kindVolatile
	kindConst
	kindRestrict
	kindFunc
	kindFuncProto
	kindVar
	kindDatasec
	kindFloat
	kindDeclTag
	kindTypeTag
	kindEnum64
)

// btfType is a type: struct btf_type, with what follows it.
type btfType struct {
	name uint32
	kind int
	vlen int
	size uint32 // or the type that it refers to
	rest []byte // what belongs to its kind
}

// readBTF reads section .BTF.
func (f *File) readBTF() error {
	s := f.named(".BTF")
	switch {
	case f.named("maps") != nil:
		return &Error{Fault: ErrOldMaps}
	case s == nil && f.named(".maps") != nil:
		return &Error{Fault: ErrNoBTF}
	case s == nil:
		return nil
	}
	btf, err := parseBTF(f.content(s))
	if err != nil {
		return err
	}
	f.BTF = btf
	return f.checkExterns()
}

func parseBTF(data []byte) (*BTF, error) {
	if len(data) < btfHeaderSize || order.Uint16(data) != btfMagic {
		return nil, damaged("section .BTF holds no type information")
	}
	header, typesAt, typesLen := uint64(order.Uint32(data[4:])), uint64(order.Uint32(data[8:])), uint64(order.Uint32(data[12:]))
	stringsAt, stringsLen := uint64(order.Uint32(data[16:])), uint64(order.Uint32(data[20:]))
	if header < btfHeaderSize || header > uint64(len(data)) || typesAt%4 != 0 || header%4 != 0 {
		return nil, damaged("section .BTF has an unknown header")
	}
	body := data[header:]
	if size := uint64(len(body)); typesAt+typesLen > size || stringsAt+stringsLen > size || typesAt+typesLen > stringsAt || stringsLen == 0 {
		return nil, damaged("section .BTF is shorter than its header says")
	}
	b := &BTF{types: body[typesAt:][:typesLen], strings: body[stringsAt:][:stringsLen]}
	if b.strings[0] != 0 || b.strings[stringsLen-1] != 0 {
		return nil, damaged("section .BTF has names without an end")
	}
	for _, step := range []func() error{b.index, b.check, b.checkNesting} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// index finds where each type starts.
func (b *BTF) index() error {
	b.at = append(make([]uint32, 0, len(b.types)/16+1), 0)
	for at := 0; at < len(b.types); {
		if len(b.at) > maxTypes {
			return tooLarge("more than %d types", maxTypes)
		}
		left := b.types[at:]
		if len(left) < 12 {
			return damaged("section .BTF ends within a type")
		}
		rest, ok := restSize(decodeType(left))
		if !ok || len(left)-12 < rest {
			return damaged("section .BTF: type %d is of an unknown kind, or cut", len(b.at))
		}
		b.at = append(b.at, uint32(at))
		at += 12 + rest
	}
	return nil
}

func decodeType(data []byte) btfType {
	info := order.Uint32(data[4:])
	return btfType{name: order.Uint32(data), kind: int(info >> 24 & 0x1f), vlen: int(info & 0xffff), size: order.Uint32(data[8:]), rest: data[12:]}
}

// restSize is how many bytes follow a type's first twelve.
func restSize(t btfType) (size int, ok bool) {
	switch t.kind {
	case kindPtr, kindFwd, kindTypedef, kindVolatile, kindConst, kindRestrict, kindFunc, kindFloat, kindTypeTag:
		return 0, true
	case kindInt, kindVar, kindDeclTag:
		return 4, true
	case kindArray:
		return 12, true
	case kindEnum, kindFuncProto:
		return 8 * t.vlen, true
	case kindStruct, kindUnion, kindDatasec, kindEnum64:
		return 12 * t.vlen, true
	}
	return 0, false
}

// typeOf is the type of that id, which has to be there.
func (b *BTF) typeOf(id uint32) btfType {
	if id == 0 {
		return btfType{}
	}
	return decodeType(b.types[b.at[id]:])
}

func (b *BTF) has(id uint32) bool { return uint64(id) < uint64(len(b.at)) }

func (b *BTF) nameOf(t btfType) string { return stringAt(b.strings, t.name) }

// entry is a member, a parameter, a variable of a section, or a value.
type entry struct{ name, ref, third uint32 }

// entries are what a type consists of.
func (t btfType) entries(yield func(entry) bool) {
	step := 12
	if t.kind == kindFuncProto || t.kind == kindEnum {
		step = 8
	}
	for i := range t.vlen {
		e := t.rest[i*step:]
		var m entry
		switch t.kind {
		case kindDatasec:
			m = entry{ref: order.Uint32(e), third: order.Uint32(e[4:])}
		case kindEnum, kindEnum64:
			m = entry{name: order.Uint32(e)}
		case kindFuncProto:
			m = entry{name: order.Uint32(e), ref: order.Uint32(e[4:])}
		default:
			m = entry{name: order.Uint32(e), ref: order.Uint32(e[4:]), third: order.Uint32(e[8:])}
		}
		if !yield(m) {
			return
		}
	}
}

// refersTo says whether a kind's third word is the id of another type.
func refersTo(kind int) bool {
	switch kind {
	case kindPtr, kindTypedef, kindVolatile, kindConst, kindRestrict, kindFunc, kindFuncProto, kindVar, kindDeclTag, kindTypeTag:
		return true
	}
	return false
}

// hasEntries says whether a kind's length counts entries.
func hasEntries(kind int) bool {
	switch kind {
	case kindStruct, kindUnion, kindDatasec, kindEnum, kindEnum64, kindFuncProto:
		return true
	}
	return false
}

// check looks at each type alone: names and types that it speaks of have to be there.
func (b *BTF) check() error {
	for id := uint32(1); b.has(id); id++ {
		t := b.typeOf(id)
		if err := b.checkType(t); err != nil {
			return damaged("section .BTF: type %d %s", id, err)
		}
	}
	return nil
}

func (b *BTF) checkType(t btfType) error {
	refers := func(ref uint32) error {
		if !b.has(ref) {
			return fmt.Errorf("refers to type %d, and there are %d", ref, len(b.at)-1)
		}
		return nil
	}
	if uint64(t.name) >= uint64(len(b.strings)) {
		return fmt.Errorf("has a name beyond the end of the names")
	}
	if refersTo(t.kind) {
		if err := refers(t.size); err != nil {
			return err
		}
	}
	switch t.kind {
	case kindStruct, kindUnion, kindDatasec:
		if t.size > maxTypeSize {
			return fmt.Errorf("has %d bytes", t.size)
		}
	case kindArray:
		if err := refers(order.Uint32(t.rest)); err != nil {
			return err
		}
		return refers(order.Uint32(t.rest[4:]))
	case kindFunc:
		if b.typeOf(t.size).kind != kindFuncProto {
			return fmt.Errorf("is a function of no type")
		}
	}
	if !hasEntries(t.kind) {
		return nil
	}
	for e := range t.entries {
		if uint64(e.name) >= uint64(len(b.strings)) {
			return fmt.Errorf("has a name beyond the end of the names")
		}
		if err := refers(e.ref); err != nil {
			return err
		}
		if t.kind != kindDatasec {
			continue
		}
		switch kind := b.typeOf(e.ref).kind; {
		case kind == kindFunc && !isMapped(b.nameOf(t)):
		case kind != kindVar:
			return fmt.Errorf("is a section that holds what is no variable")
		case e.third > maxTypeSize:
			return fmt.Errorf("is a section with a variable at %d", e.third)
		}
	}
	return nil
}

// isMapped says whether libbpf takes everything in a section for variables.
func isMapped(section string) bool {
	return isVariables(section) || section == ".maps" || section == ".kconfig" || strings.HasPrefix(section, ".struct_ops")
}

// checkNesting refuses types that contain themselves. A pointer to itself is none.
func (b *BTF) checkNesting() error {
	const under = 255 // being looked at
	heights := make([]uint8, len(b.at))
	var height func(id uint32, depth int) (int, error)
	height = func(id uint32, depth int) (int, error) {
		switch {
		case id == 0:
			return 0, nil
		case heights[id] == under:
			return 0, damaged("section .BTF: type %d contains itself", id)
		case heights[id] != 0:
			return int(heights[id]), nil
		case depth > maxNesting:
			return 0, damaged("section .BTF: type %d is nested too deeply", id)
		}
		heights[id] = under
		highest := 0
		contains := func(ref uint32) error {
			h, err := height(ref, depth+1)
			highest = max(highest, h)
			return err
		}
		var err error
		switch t := b.typeOf(id); t.kind {
		case kindTypedef, kindVolatile, kindConst, kindRestrict, kindTypeTag, kindVar:
			err = contains(t.size)
		case kindArray:
			err = contains(order.Uint32(t.rest))
		case kindStruct, kindUnion, kindDatasec:
			for e := range t.entries {
				if err == nil {
					err = contains(e.ref)
				}
			}
		}
		if err != nil {
			return 0, err
		}
		if highest++; highest > maxNesting {
			return 0, damaged("section .BTF: type %d is nested too deeply", id)
		}
		heights[id] = uint8(highest)
		return highest, nil
	}
	for id := uint32(1); b.has(id); id++ {
		if _, err := height(id, 0); err != nil {
			return err
		}
	}
	return nil
}

// checkExterns bounds what libbpf does for each symbol that is to be found elsewhere,
// and the map that it makes for those of the kernel's configuration.
func (f *File) checkExterns() error {
	externs, objects := 0, 0
	for _, s := range f.symbols {
		if s.section == elf.SHN_UNDEF && s.kind == elf.STT_NOTYPE && s.bind != elf.STB_LOCAL {
			externs++
		} else if s.kind == elf.STT_OBJECT {
			objects++
		}
	}
	variables, kconfig := 0, uint64(0)
	for id := uint32(1); f.BTF.has(id); id++ {
		t := f.BTF.typeOf(id)
		if t.kind != kindDatasec {
			continue
		}
		variables += t.vlen
		if f.BTF.nameOf(t) != ".kconfig" {
			continue
		}
		for e := range t.entries {
			kconfig += f.BTF.sizeOf(f.BTF.typeOf(e.ref).size)
		}
	}
	if externs*len(f.BTF.at) > maxLookups || variables*(externs+objects) > maxLookups {
		return tooLarge("%d types, %d variables and %d symbols", len(f.BTF.at), variables, len(f.symbols))
	}
	if kconfig > maxVariables {
		return tooLarge("global variables of %d bytes", kconfig)
	}
	return nil
}

// sizeOf is how many bytes a type has, up to more than any may have.
func (b *BTF) sizeOf(id uint32) uint64 {
	count := uint64(1)
	for {
		switch t := b.typeOf(id); t.kind {
		case kindTypedef, kindVolatile, kindConst, kindRestrict, kindTypeTag, kindVar:
			id = t.size
		case kindArray:
			if n := uint64(order.Uint32(t.rest[8:])); n > 0 && count > maxTypeSize/n {
				return maxTypeSize + 1
			} else if n > 0 {
				count *= n
			}
			id = order.Uint32(t.rest)
		case kindPtr:
			return 8 * count
		default:
			return uint64(t.size) * count
		}
	}
}
