package objectfile

import (
	"bytes"
	"debug/elf"
	"fmt"
	"strings"
)

const (
	headerSize        = 64
	sectionHeaderSize = 64
	symbolSize        = 24
	relocationSize    = 16
	instructionSize   = 8
)

// section is a section header (Elf64_Shdr).
type section struct {
	name         string
	index        int
	kind         elf.SectionType
	flags        elf.SectionFlag
	offset, size uint64
	link, info   uint32
	entry        uint64 // size of an entry
}

// inFile says whether the section has bytes in the file.
func (s *section) inFile() bool { return s.kind != elf.SHT_NOBITS && s.kind != elf.SHT_NULL }

// isCode says whether libbpf looks for programs in the section.
func (s *section) isCode() bool {
	return s.kind == elf.SHT_PROGBITS && s.size > 0 && s.flags&elf.SHF_EXECINSTR != 0 && !ignored(s)
}

// ignored says whether libbpf leaves a section alone.
func ignored(s *section) bool {
	return s.kind == elf.SHT_STRTAB || strings.HasPrefix(strings.TrimPrefix(s.name, ".rel"), ".debug_")
}

// readSections reads the ELF header and the section headers.
func (f *File) readSections() error {
	if !bytes.HasPrefix(f.data, []byte(elf.ELFMAG)) {
		return &Error{Fault: ErrNotELF}
	}
	if len(f.data) < headerSize {
		return &Error{Fault: ErrTruncated}
	}
	if err := f.checkIdentity(); err != nil {
		return err
	}
	at, n, names := order.Uint64(f.data[40:]), int(order.Uint16(f.data[60:])), int(order.Uint16(f.data[62:]))
	switch {
	case order.Uint16(f.data[52:]) != headerSize || order.Uint16(f.data[58:]) != sectionHeaderSize:
		return damaged("its headers have unknown sizes")
	case order.Uint16(f.data[56:]) != 0:
		return damaged("it has program headers, as no object for BPF does")
	case at%8 != 0 || at < headerSize || n == 0:
		return damaged("it has no section headers at %#x", at)
	case n > maxSections:
		return tooLarge("%d sections", n)
	case at > uint64(len(f.data)) || uint64(n)*sectionHeaderSize > uint64(len(f.data))-at:
		return &Error{Fault: ErrTruncated, Detail: "its section headers lie beyond its end"}
	}
	for i := range n {
		h := f.data[at+uint64(i)*sectionHeaderSize:]
		s := section{
			index:  i,
			kind:   elf.SectionType(order.Uint32(h[4:])),
			flags:  elf.SectionFlag(order.Uint64(h[8:])),
			offset: order.Uint64(h[24:]),
			size:   order.Uint64(h[32:]),
			link:   order.Uint32(h[40:]),
			info:   order.Uint32(h[44:]),
			entry:  order.Uint64(h[56:]),
		}
		if s.inFile() && (s.offset > uint64(len(f.data)) || s.size > uint64(len(f.data))-s.offset) {
			return &Error{Fault: ErrTruncated, Detail: fmt.Sprintf("section %d lies beyond its end", i)}
		}
		f.sections = append(f.sections, s)
	}
	if names >= n || f.sections[names].kind != elf.SHT_STRTAB {
		return damaged("no section holds the names of the others")
	}
	table := f.content(&f.sections[names])
	for i := range f.sections {
		s := &f.sections[i]
		name := order.Uint32(f.data[at+uint64(i)*sectionHeaderSize:])
		if i > 0 && !isString(table, name) {
			return damaged("section %d has no name", i)
		}
		s.name = stringAt(table, name)
		if s.name == ".text" && i > 0 {
			f.text = i
		}
	}
	return nil
}

// checkIdentity looks at what says for what machine the file is.
func (f *File) checkIdentity() error {
	var there interface{ Uint16([]byte) uint16 }
	switch elf.Data(f.data[elf.EI_DATA]) {
	case elf.ELFDATA2LSB:
		there = littleEndian
	case elf.ELFDATA2MSB:
		there = bigEndian
	default:
		return damaged("it has no byte order")
	}
	machine := elf.Machine(there.Uint16(f.data[18:]))
	switch {
	case machine != elf.EM_BPF && machine != elf.EM_NONE:
		return &Error{Fault: ErrMachine, Machine: uint16(machine)}
	case elf.Class(f.data[elf.EI_CLASS]) != elf.ELFCLASS64:
		return damaged("it is not of 64 bits")
	case there.Uint16([]byte{1, 0}) != order.Uint16([]byte{1, 0}):
		return &Error{Fault: ErrByteOrder}
	case elf.Version(f.data[elf.EI_VERSION]) != elf.EV_CURRENT || order.Uint32(f.data[20:]) != uint32(elf.EV_CURRENT):
		return damaged("it is of an unknown version of ELF")
	case elf.Type(order.Uint16(f.data[16:])) != elf.ET_REL:
		return damaged("it is not relocatable, as an object for BPF is")
	}
	return nil
}

// content is the bytes of a section in the file.
func (f *File) content(s *section) []byte {
	if !s.inFile() {
		return nil
	}
	return f.data[s.offset:][:s.size:s.size]
}

// named is the last section of that name, which is what libbpf takes; nil: there is
// none.
func (f *File) named(name string) *section {
	for i := len(f.sections) - 1; i > 0; i-- {
		if f.sections[i].name == name {
			return &f.sections[i]
		}
	}
	return nil
}

// isString says whether a string of a table starts there and ends.
func isString(table []byte, at uint32) bool {
	return uint64(at) < uint64(len(table)) && (table[len(table)-1] == 0 || bytes.IndexByte(table[at:], 0) >= 0)
}

// symbol is an entry of the symbol table (Elf64_Sym).
type symbol struct {
	kind        elf.SymType
	bind        elf.SymBind
	section     elf.SectionIndex
	name        uint32
	value, size uint64
}

// readSymbols reads the symbol table. libbpf wants one.
func (f *File) readSymbols() error {
	var table *section
	for i := range f.sections {
		if s := &f.sections[i]; s.kind == elf.SHT_SYMTAB {
			if table != nil {
				return damaged("it has several symbol tables")
			}
			table = s
		}
	}
	if table == nil {
		return damaged("it has no symbol table; it is stripped, perhaps")
	}
	switch n := table.size / symbolSize; {
	case table.entry != symbolSize || table.size%symbolSize != 0:
		return damaged("its symbol table has entries of an unknown size")
	case n > maxSymbols || n*uint64(len(f.sections)) > maxLookups:
		return tooLarge("%d symbols and %d sections", n, len(f.sections))
	case table.link == 0 || int64(table.link) >= int64(len(f.sections)) || f.sections[table.link].kind != elf.SHT_STRTAB:
		return damaged("no section holds the names of its symbols")
	}
	f.names = f.content(&f.sections[table.link])
	content := f.content(table)
	f.symbols = make([]symbol, 0, len(content)/symbolSize)
	for ; len(content) > 0; content = content[symbolSize:] {
		f.symbols = append(f.symbols, symbol{
			name:    order.Uint32(content),
			kind:    elf.ST_TYPE(content[4]),
			bind:    elf.ST_BIND(content[4]),
			section: elf.SectionIndex(order.Uint16(content[6:])),
			value:   order.Uint64(content[8:]),
			size:    order.Uint64(content[16:]),
		})
	}
	return nil
}
