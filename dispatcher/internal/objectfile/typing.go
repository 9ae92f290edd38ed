package objectfile

import (
	"cmp"
	"debug/elf"
	"slices"
	"strings"
)

// The kernel lets a program replace a function of a dispatcher only if type information
// says of both that they are int f(struct xdp_md *). An XDP program is that, whatever its
// source calls it, or if nobody has told: it gets the context and returns a number.

// Untyped says whether section .BTF.ext leaves out any function of the file. A function that
// is left out makes the kernel refuse every program that has or calls it.
func (f *File) Untyped() bool {
	typed := f.typedFunctions()
	for _, fn := range f.functions() {
		if typed[fn.section][fn.at] == 0 {
			return true
		}
	}
	return false
}

// Typed is the file with the type of every function told: int f(struct xdp_md *ctx) for these
// programs, and for any other function what the file says of it, or else int f(). If the file
// has no type information at all, its global variables get types too, by their sizes.
func (f *File) Typed(programs map[string]bool) []byte {
	types := f.newTypes()
	if f.BTF == nil {
		for i := range f.sections {
			if s := &f.sections[i]; isVariables(s.name) && i > 0 {
				f.typeVariables(types, s)
			}
		}
	}
	typed := f.typedFunctions()
	for _, fn := range f.functions() {
		if typed[fn.section] == nil {
			typed[fn.section] = map[uint32]uint32{}
		}
		switch {
		case programs[fn.name]:
			typed[fn.section][fn.at] = types.function(fn.name, true)
		case typed[fn.section][fn.at] == 0:
			typed[fn.section][fn.at] = types.function(fn.name, false)
		}
	}
	infos := encodeFunctions(types, typed) // which adds names
	return f.withSections(map[string][]byte{".BTF": types.encode(), ".BTF.ext": f.withFunctions(infos)})
}

// function is where a function starts.
type function struct {
	name    string
	section string
	at      uint32 // bytes from the start of the section
}

// functions are all that the file has code of.
func (f *File) functions() (all []function) {
	for _, sym := range f.symbols {
		if sym.kind != elf.STT_FUNC || sym.section == elf.SHN_UNDEF || int(sym.section) >= len(f.sections) || sym.size == 0 {
			continue
		}
		if s := &f.sections[sym.section]; s.isCode() {
			all = append(all, function{stringAt(f.names, sym.name), s.name, uint32(sym.value)})
		}
	}
	return all
}

// typedFunctions are the types of the functions, by their sections and places there, as
// section .BTF.ext says them.
func (f *File) typedFunctions() map[string]map[uint32]uint32 {
	typed := map[string]map[uint32]uint32{}
	if f.BTF == nil {
		return typed
	}
	for section, infos := range f.functionInfos {
		if typed[section] == nil {
			typed[section] = map[uint32]uint32{}
		}
		for instruction, id := range infos {
			if f.BTF.has(id) && f.BTF.typeOf(id).kind == kindFunc {
				typed[section][instruction*instructionSize] = id
			}
		}
	}
	return typed
}

// typeVariables gives the variables of a section types of their sizes.
func (f *File) typeVariables(t *newTypes, s *section) {
	var variables []symbol
	for _, sym := range f.symbols {
		if sym.kind == elf.STT_OBJECT && int(sym.section) == s.index && sym.size > 0 && sym.value <= s.size && sym.size <= s.size-sym.value {
			variables = append(variables, sym)
		}
	}
	slices.SortStableFunc(variables, func(a, b symbol) int {
		return cmp.Or(cmp.Compare(a.value, b.value), cmp.Compare(b.size, a.size))
	})
	var entries []uint32
	end := uint64(0)
	for _, v := range variables {
		if v.value < end { // another name of the one before
			continue
		}
		end = v.value + v.size
		entries = append(entries, t.variable(stringAt(f.names, v.name), uint32(v.size)), uint32(v.value), uint32(v.size))
	}
	if len(entries) > 0 {
		t.add(s.name, kindDatasec, len(entries)/3, uint32(s.size), entries...)
	}
}

// newTypes are types that are added to those of the file.
type newTypes struct {
	types   []byte
	strings []byte
	last    uint32            // id of the last type
	known   map[string]uint32 // those that several types refer to
}

func (f *File) newTypes() *newTypes {
	t := &newTypes{strings: []byte{0}, known: map[string]uint32{}}
	if f.BTF != nil {
		t.types, t.strings, t.last = slices.Clone(f.BTF.types), slices.Clone(f.BTF.strings), uint32(len(f.BTF.at)-1)
	}
	return t
}

// name adds a string.
func (t *newTypes) name(s string) uint32 {
	if s == "" {
		return 0
	}
	at := len(t.strings)
	t.strings = append(append(t.strings, s...), 0)
	return uint32(at)
}

// add adds a type: struct btf_type, and the words that belong to its kind.
func (t *newTypes) add(name string, kind, vlen int, size uint32, rest ...uint32) (id uint32) {
	for _, word := range append([]uint32{t.name(name), uint32(kind)<<24 | uint32(vlen), size}, rest...) {
		t.types = order.AppendUint32(t.types, word)
	}
	t.last++
	return t.last
}

// once is the type of that key, which add makes if there is none.
func (t *newTypes) once(key string, add func() uint32) uint32 {
	if t.known[key] == 0 {
		t.known[key] = add()
	}
	return t.known[key]
}

func (t *newTypes) integer(name string, size, encoding uint32) uint32 {
	return t.once(name, func() uint32 { return t.add(name, kindInt, 0, size, encoding<<24|8*size) })
}

// function adds a function: a program, or one that only the file's own functions call.
func (t *newTypes) function(name string, isProgram bool) uint32 {
	const signed, static, global = 1, 0, 1
	result := t.integer("int", 4, signed)
	if !isProgram {
		proto := t.once("()", func() uint32 { return t.add("", kindFuncProto, 0, result) })
		return t.add(identifier(name), kindFunc, static, proto)
	}
	proto := t.once("(ctx)", func() uint32 {
		const contextSize = 24 // of struct xdp_md
		context := t.add("", kindPtr, 0, t.add("xdp_md", kindStruct, 0, contextSize))
		return t.add("", kindFuncProto, 1, result, t.name("ctx"), context)
	})
	return t.add(identifier(name), kindFunc, global, proto)
}

// variable adds a variable that is static to libbpf, which then asks no symbol for it.
func (t *newTypes) variable(name string, size uint32) uint32 {
	var of uint32
	switch size {
	case 1, 2, 4, 8:
		of = t.unsigned(size)
	default:
		of = t.add("", kindArray, 0, 0, t.unsigned(1), t.unsigned(4), size)
	}
	return t.add(identifier(name), kindVar, 0, of, 0)
}

func (t *newTypes) unsigned(size uint32) uint32 {
	return t.integer(map[uint32]string{1: "__u8", 2: "__u16", 4: "__u32", 8: "__u64"}[size], size, 0)
}

// identifier is a name as the kernel takes it from type information.
func identifier(name string) string {
	if name != "" && name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z') {
			return r
		}
		return '_'
	}, name)
}

// encode is section .BTF.
func (t *newTypes) encode() []byte {
	data := order.AppendUint16(nil, btfMagic)
	data = append(data, 1, 0) // version, flags
	for _, n := range []int{btfHeaderSize, 0, len(t.types), len(t.types), len(t.strings)} {
		data = order.AppendUint32(data, uint32(n))
	}
	return append(append(data, t.types...), t.strings...)
}

// encodeFunctions is the part of section .BTF.ext about functions.
func encodeFunctions(t *newTypes, typed map[string]map[uint32]uint32) []byte {
	const record = 8
	data := order.AppendUint32(nil, record)
	for _, section := range sortedKeys(typed) {
		places := typed[section]
		if len(places) == 0 {
			continue
		}
		data = order.AppendUint32(data, t.name(section))
		data = order.AppendUint32(data, uint32(len(places)))
		for _, at := range sortedKeys(places) {
			data = order.AppendUint32(data, at)
			data = order.AppendUint32(data, places[at])
		}
	}
	return data
}

// withFunctions is section .BTF.ext with another part about functions.
func (f *File) withFunctions(infos []byte) []byte {
	const parts = 3 // functions, lines, and what is relocated by the kernel's types
	var others [parts - 1][]byte
	if s := f.named(".BTF.ext"); s != nil && f.BTF != nil {
		others = extensions(f.content(s))
	}
	data := order.AppendUint16(nil, btfMagic)
	data = append(data, 1, 0)
	data = order.AppendUint32(data, 8+8*parts)
	at := 0
	for _, part := range [parts][]byte{infos, others[0], others[1]} {
		data = order.AppendUint32(data, uint32(at))
		data = order.AppendUint32(data, uint32(len(part)))
		at += len(part)
	}
	data = append(data, infos...)
	return append(append(data, others[0]...), others[1]...)
}

// extensions are the parts of section .BTF.ext behind that about functions. What is cut is
// left out.
func extensions(data []byte) (parts [2][]byte) {
	if len(data) < 8 || order.Uint16(data) != btfMagic {
		return parts
	}
	header := uint64(order.Uint32(data[4:]))
	for i := range parts {
		at := uint64(16 + 8*i)
		if at+8 > header || header > uint64(len(data)) {
			break
		}
		from, size := header+uint64(order.Uint32(data[at:])), uint64(order.Uint32(data[at+4:]))
		if size%4 == 0 && from+size <= uint64(len(data)) {
			parts[i] = data[from:][:size]
		}
	}
	return parts
}
