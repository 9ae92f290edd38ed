package objectfile

import (
	"debug/elf"
	"encoding/binary"
	"strings"
)

var (
	littleEndian = binary.LittleEndian
	bigEndian    = binary.BigEndian
)

// checkSections looks at the sections that libbpf knows by their names. One that has no
// bytes in the file would be read at address 0.
func (f *File) checkSections() error {
	variables := uint64(0)
	seen := map[string]bool{}
	for i := range f.sections {
		s := &f.sections[i]
		switch {
		case i == 0 || ignored(s):
			continue
		case isVariables(s.name):
			if variables += s.size; s.size > maxVariables || variables > maxVariables {
				return tooLarge("global variables of %d bytes", variables)
			}
		case s.name == "license", s.name == "version", s.name == ".BTF", s.name == ".BTF.ext", s.name == ".maps", strings.HasPrefix(s.name, ".struct_ops"):
			if s.kind != elf.SHT_PROGBITS {
				return damaged("section %s holds nothing", s.name)
			}
			if (s.name == ".BTF" || s.name == ".maps") && seen[s.name] {
				return damaged("it has several sections %s", s.name)
			}
			seen[s.name] = true
		}
		if s.inFile() && s.flags&elf.SHF_COMPRESSED != 0 {
			return damaged("section %s is compressed", s.name)
		}
	}
	return nil
}

// isVariables says whether libbpf makes a map of a section.
func isVariables(section string) bool {
	for _, prefix := range []string{".data", ".rodata", ".bss"} {
		if rest, ok := strings.CutPrefix(section, prefix); ok && (rest == "" || rest[0] == '.') {
			return true
		}
	}
	return false
}

// checkFunctions looks at where symbols say that functions and variables are.
func (f *File) checkFunctions() error {
	functions, code := 0, uint64(0)
	var only *symbol // the first function
	for i := range f.symbols {
		sym := &f.symbols[i]
		if int(sym.section) >= len(f.sections) || sym.section == elf.SHN_UNDEF {
			continue
		}
		s := &f.sections[sym.section]
		switch {
		case sym.kind == elf.STT_OBJECT && sym.value > s.size:
			return damaged("a variable lies outside of its section %s", s.name)
		case sym.kind != elf.STT_FUNC || !s.isCode():
			continue
		case sym.value > s.size || sym.size > s.size-sym.value:
			return damaged("a function lies outside of its section %s", s.name)
		case stringAt(f.names, sym.name) == "":
			return damaged("a function of section %s has no name", s.name)
		}
		functions++
		code += sym.size
		if functions > maxFunctions || code > maxCode {
			return tooLarge("%d functions of %d bytes", functions, code)
		}
		if only == nil {
			only = sym
		}
		// libbpf writes to the second half of an instruction of two that it relocates.
		if sym.size >= instructionSize && f.content(s)[sym.value+sym.size-instructionSize] == loadWide {
			return damaged("a function of section %s ends within an instruction", s.name)
		}
	}
	// libbpf would append the function to itself, and miscount.
	if functions == 1 && int(only.section) == f.text && f.calls(only) {
		return damaged("its only function calls itself")
	}
	return nil
}

// Opcodes (struct bpf_insn, code).
const (
	loadWide = 0x18 // BPF_LD | BPF_IMM | BPF_DW, an instruction of 16 bytes
	call     = 0x85 // BPF_JMP | BPF_CALL
)

// calls says whether a function calls another of the file. A call of a kernel function
// looks the same, but is relocated by a symbol that isn't in the file.
func (f *File) calls(function *symbol) bool {
	const subprogram = 1 // BPF_PSEUDO_CALL, the source register
	code := f.content(&f.sections[function.section])
	for at := function.value; at+instructionSize <= function.value+function.size; at += instructionSize {
		if code[at] == call && (code[at+1]>>4 == subprogram || code[at+1]&0xf == subprogram) && !f.isExtern(uint32(function.section), at) {
			return true
		}
	}
	return false
}

// isExtern says whether a relocation of that place names a symbol of elsewhere.
func (f *File) isExtern(section uint32, at uint64) bool {
	for i := range f.sections {
		s := &f.sections[i]
		if s.kind != elf.SHT_REL || s.info != section {
			continue
		}
		for table := f.content(s); len(table) >= relocationSize; table = table[relocationSize:] {
			sym := order.Uint64(table[8:]) >> 32
			if order.Uint64(table) == at && sym < uint64(len(f.symbols)) && f.symbols[sym].section == elf.SHN_UNDEF {
				return true
			}
		}
	}
	return false
}

// checkRelocations looks at the tables of relocations that libbpf applies.
func (f *File) checkRelocations() error {
	for i := range f.sections {
		s := &f.sections[i]
		if s.kind != elf.SHT_REL || ignored(s) || s.name == ".rel.BTF" || s.name == ".rel.BTF.ext" {
			continue
		}
		switch {
		case s.entry != relocationSize || s.size%relocationSize != 0:
			return damaged("section %s has entries of an unknown size", s.name)
		case s.info == 0 || int64(s.info) >= int64(len(f.sections)):
			return damaged("section %s relocates nothing", s.name)
		}
		target := &f.sections[s.info]
		if !target.isCode() && s.name != ".rel.maps" && s.name != ".rel.struct_ops" && !strings.HasPrefix(s.name, ".rel.struct_ops") {
			continue
		}
		for table := f.content(s); len(table) > 0; table = table[relocationSize:] {
			at, sym := order.Uint64(table), order.Uint64(table[8:])>>32
			if sym >= uint64(len(f.symbols)) {
				return damaged("section %s speaks of symbol %d, and there are %d", s.name, sym, len(f.symbols))
			}
			if at > target.size || target.size-at < instructionSize {
				return damaged("section %s relocates what lies outside of section %s", s.name, target.name)
			}
		}
	}
	return nil
}
