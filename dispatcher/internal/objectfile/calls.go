package objectfile

import (
	"cmp"
	"debug/elf"
	"slices"
)

// Calls are what a function of the file may call of the kernel, itself or through other
// functions of the file: helpers by their numbers (enum bpf_func_id), in order, and functions
// (kfuncs) by their names.
func (f *File) Calls(function string) (helpers []int32, kernel []string) {
	first, _ := f.function(function)
	if first == nil {
		return nil, nil
	}
	relocated := f.relocatedSymbols()
	seen := map[*symbol]bool{first: true}
	todo := []*symbol{first}
	functions := f.functionsByPlace()
	reach := func(section elf.SectionIndex, at int64) {
		if sym := functionAt(functions, place{section, uint64(at)}); sym != nil && !seen[sym] {
			seen[sym] = true
			todo = append(todo, sym)
		}
	}
	for len(todo) > 0 {
		fn := todo[0]
		todo = todo[1:]
		code := f.content(&f.sections[fn.section])
		for at := fn.value; at+instructionSize <= fn.value+fn.size; at += instructionSize {
			i := decodeInsn(code[at:])
			sym := relocated[place{fn.section, at}]
			switch {
			case i.code == call && i.src == 0 && sym == nil:
				helpers = append(helpers, i.imm)
			case i.code == call && sym == nil: // a static function of the same section
				reach(fn.section, int64(at)+(int64(i.imm)+1)*instructionSize)
			case i.code == call && sym.section == elf.SHN_UNDEF:
				kernel = append(kernel, stringAt(f.names, sym.name))
			case i.code == call && sym.kind == elf.STT_SECTION:
				reach(sym.section, (int64(i.imm)+1)*instructionSize)
			case i.code == loadWide && sym != nil && sym.kind == elf.STT_SECTION: // a callback's address
				reach(sym.section, int64(i.imm))
			case sym != nil && sym.kind == elf.STT_FUNC:
				reach(sym.section, int64(sym.value))
			}
			if i.code == loadWide {
				at += instructionSize
			}
		}
	}
	slices.Sort(helpers)
	slices.Sort(kernel)
	return slices.Compact(helpers), slices.Compact(kernel)
}

// place is an instruction: its section, and its offset there.
type place struct {
	section elf.SectionIndex
	at      uint64
}

// relocatedSymbols are the symbols that instructions are relocated by.
func (f *File) relocatedSymbols() map[place]*symbol {
	all := map[place]*symbol{}
	for i := range f.sections {
		s := &f.sections[i]
		if s.kind != elf.SHT_REL || ignored(s) || int64(s.info) >= int64(len(f.sections)) || !f.sections[s.info].isCode() {
			continue
		}
		for table := f.content(s); len(table) >= relocationSize; table = table[relocationSize:] {
			if sym := order.Uint64(table[8:]) >> 32; sym < uint64(len(f.symbols)) {
				all[place{elf.SectionIndex(s.info), order.Uint64(table)}] = &f.symbols[sym]
			}
		}
	}
	return all
}

// functionsByPlace are the functions of the file, by their sections and places there.
func (f *File) functionsByPlace() []*symbol {
	var all []*symbol
	for i := range f.symbols {
		sym := &f.symbols[i]
		if sym.kind == elf.STT_FUNC && int(sym.section) < len(f.sections) && f.sections[sym.section].isCode() {
			all = append(all, sym)
		}
	}
	slices.SortStableFunc(all, func(a, b *symbol) int {
		return cmp.Or(cmp.Compare(a.section, b.section), cmp.Compare(a.value, b.value))
	})
	return all
}

// functionAt is the function that begins at a place or before it and holds it; nil: there is
// none.
func functionAt(all []*symbol, p place) *symbol {
	i, found := slices.BinarySearchFunc(all, p, func(sym *symbol, p place) int {
		return cmp.Or(cmp.Compare(sym.section, p.section), cmp.Compare(sym.value, p.at))
	})
	if !found {
		i--
	}
	if i < 0 || all[i].section != p.section || p.at-all[i].value >= all[i].size {
		return nil
	}
	return all[i]
}
