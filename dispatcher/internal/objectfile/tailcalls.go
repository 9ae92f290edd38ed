package objectfile

import (
	"bytes"
	"debug/elf"
	"slices"
)

// TailCall is a slot of a program array that the file fills: what __array(values, ...) of
// bpf_helpers.h is initialized with.
type TailCall struct {
	Map     string
	Slot    uint32
	Program string // the function
}

// TailCalls are the slots of program arrays that the file fills with programs of its own.
func (f *File) TailCalls() (all []TailCall) {
	for _, call := range f.tailCalls {
		all = append(all, call)
	}
	return all
}

// WithoutTailCalls is the file without them. libbpf would demand to load these programs with
// the one that calls them, and as programs of another kind.
func (f *File) WithoutTailCalls() []byte {
	table := f.content(f.named(mapRelocations))
	left := []byte{}
	from := 0
	for at := range f.tailCalls {
		left = append(left, table[from:at]...)
		from = at + relocationSize
	}
	return f.withSections(map[string][]byte{mapRelocations: append(left, table[from:]...)})
}

// WithoutFrags is the file with no section whose name has libbpf load programs that take packets
// of several buffers. libbpf before 1.2 does so whatever else it is told.
func (f *File) WithoutFrags() []byte {
	data := slices.Clone(f.data)
	for _, s := range []*section{&f.sections[order.Uint16(data[62:])], f.named(".BTF")} {
		if s != nil {
			content := data[s.offset:][:s.size]
			copy(content, bytes.ReplaceAll(content, []byte("xdp.frags"), []byte("xdp/frags")))
		}
	}
	return data
}

const mapRelocations = ".rel.maps"

// tailCalls yields the relocations that put programs into program arrays, by their places in
// the table.
func (f *File) tailCalls(yield func(at int, call TailCall) bool) {
	s := f.named(mapRelocations)
	if s == nil || s.kind != elf.SHT_REL || f.BTF == nil {
		return
	}
	table := f.content(s)
	for at := 0; at+relocationSize <= len(table); at += relocationSize {
		sym := &f.symbols[order.Uint64(table[at+8:])>>32]
		if sym.kind != elf.STT_FUNC || !f.isProgramCode(sym.section) {
			continue
		}
		array, slot, ok := f.slotAt(elf.SectionIndex(s.info), order.Uint64(table[at:]))
		if ok && !yield(at, TailCall{array, slot, stringAt(f.names, sym.name)}) {
			return
		}
	}
}

// isProgramCode says whether libbpf takes the functions of a section for programs.
func (f *File) isProgramCode(section elf.SectionIndex) bool {
	return section != elf.SHN_UNDEF && int(section) < len(f.sections) && int(section) != f.text && f.sections[section].isCode()
}

// slotAt is the slot of a program array at that place in the section of the maps.
func (f *File) slotAt(section elf.SectionIndex, at uint64) (array string, slot uint32, ok bool) {
	const programArray = 3 // BPF_MAP_TYPE_PROG_ARRAY
	for i := range f.symbols {
		sym := &f.symbols[i]
		if sym.kind != elf.STT_OBJECT || sym.section != section || at < sym.value || at-sym.value >= sym.size {
			continue
		}
		array = stringAt(f.names, sym.name)
		declared, _ := f.variable(".maps", array)
		if declared.kind != kindStruct {
			return "", 0, false
		}
		isArray := false
		for m := range declared.entries {
			switch stringAt(f.BTF.strings, m.name) {
			case "type":
				number, _ := f.BTF.number(m.ref)
				isArray = number == programArray
			case "values":
				const pointer = 8
				values := sym.value + uint64(m.third)/8
				ok = at >= values && (at-values)%pointer == 0
				slot = uint32((at - values) / pointer)
			}
		}
		return array, slot, ok && isArray
	}
	return "", 0, false
}
