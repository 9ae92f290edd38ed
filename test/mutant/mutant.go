// Package mutant damages object files, the same way again for the same seed: what a
// broken disk, a cut download or an enemy may hand to xdpmux.
package mutant

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// Choice is the seed and the number of mutants that $XDPMUX_TEST_SEED and
// $XDPMUX_TEST_MUTANTS ask for. Without, it is always the same seed: who tests something
// else isn't to be the one who finds the next mutant.
func Choice(number int) (seed uint64, n int, err error) {
	seed, n = 10, number
	if text := os.Getenv("XDPMUX_TEST_SEED"); text != "" {
		if seed, err = strconv.ParseUint(text, 0, 64); err != nil {
			return 0, 0, fmt.Errorf("XDPMUX_TEST_SEED: %w", err)
		}
	}
	if text := os.Getenv("XDPMUX_TEST_MUTANTS"); text != "" {
		if n, err = strconv.Atoi(text); err != nil {
			return 0, 0, fmt.Errorf("XDPMUX_TEST_MUTANTS: %w", err)
		}
	}
	return seed, n, nil
}

// Original is an object file that is whole.
type Original struct {
	Name string
	Data []byte

	sections []section
	btf      *section
	fields   []field
}

// section is what a section header says.
type section struct {
	name                 string
	header, offset, size int
}

// field is a number of the file that something depends on.
type field struct {
	what       string
	at, length int
}

// Read reads the object files of these folders.
func Read(folders ...string) ([]*Original, error) {
	var all []*Original
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*.o"))
		if err != nil {
			return nil, err
		}
		slices.Sort(files)
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			o, err := newOriginal(filepath.Base(file), data)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			all = append(all, o)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no object file in %q: make test-unit builds them", folders)
	}
	return all, nil
}

func newOriginal(name string, data []byte) (*Original, error) {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	o := &Original{Name: name, Data: data}
	headers := int(f.ByteOrder.Uint64(data[40:]))
	for i, s := range f.Sections {
		header := section{name: s.Name, header: headers + 64*i, offset: int(s.Offset), size: int(s.FileSize)}
		if s.Type == elf.SHT_NOBITS || s.Type == elf.SHT_NULL {
			header.size = 0
		}
		o.sections = append(o.sections, header)
		if s.Name == ".BTF" {
			o.btf = &o.sections[i]
		}
	}
	o.findFields(f)
	return o, nil
}

// add notes fields of these lengths, which lie one behind the other.
func (o *Original) add(what string, at int, lengths ...int) {
	for i, length := range lengths {
		if at+length <= len(o.Data) {
			o.fields = append(o.fields, field{fmt.Sprintf("%s, field %d", what, i), at, length})
		}
		at += length
	}
}

func (o *Original) findFields(f *elf.File) {
	o.add("ELF header", 16, 2, 2, 4, 8, 8, 8, 4, 2, 2, 2, 2, 2, 2)
	for i, s := range o.sections {
		o.add(fmt.Sprintf("header of section %d (%s)", i, s.name), s.header, 4, 4, 8, 8, 8, 8, 4, 4, 8, 8)
		if s.size == 0 {
			continue
		}
		switch {
		case f.Sections[i].Type == elf.SHT_SYMTAB:
			for n := range s.size / 24 {
				o.add(fmt.Sprintf("symbol %d", n), s.offset+24*n, 4, 1, 1, 2, 8, 8)
			}
		case f.Sections[i].Type == elf.SHT_REL:
			for n := range min(s.size/16, 40) {
				o.add(fmt.Sprintf("relocation %d of %s", n, s.name), s.offset+16*n, 8, 4, 4)
			}
		case s.name == ".BTF":
			o.add("header of .BTF", s.offset, 2, 1, 1, 4, 4, 4, 4, 4)
			for at := 24; at+12 <= s.size && at < 24+int(f.ByteOrder.Uint32(o.Data[s.offset+12:])); at += 4 {
				o.add(fmt.Sprintf(".BTF at %d", at), s.offset+at, 4)
			}
		case s.name == ".BTF.ext":
			o.add("header of .BTF.ext", s.offset, 2, 1, 1, 4, 4, 4, 4, 4, 4, 4)
			for at := 24; at+4 <= s.size; at += 4 {
				o.add(fmt.Sprintf(".BTF.ext at %d", at), s.offset+at, 4)
			}
		case f.Sections[i].Flags&elf.SHF_EXECINSTR != 0:
			for at := 0; at+8 <= s.size; at += 8 {
				o.add(fmt.Sprintf("instruction %d of %s", at/8, s.name), s.offset+at, 1, 1, 2, 4)
			}
		}
	}
}

// Mutant is a damaged copy of an object file.
type Mutant struct {
	Name string // of the original
	Seed uint64 // with its index it makes the same mutant again
	N    int
	Did  []string // what was done to it
	Data []byte
}

func (m Mutant) String() string {
	return fmt.Sprintf("mutant %d of seed %d: %s, %q", m.N, m.Seed, m.Name, m.Did)
}

// Make makes mutant n of a seed of one of the originals.
func Make(originals []*Original, seed uint64, n int) Mutant {
	chance := rand.New(rand.NewPCG(seed, uint64(n)))
	o := originals[chance.IntN(len(originals))]
	m := Mutant{Name: o.Name, Seed: seed, N: n, Data: bytes.Clone(o.Data)}
	for range 1 + chance.IntN(1+chance.IntN(4)) {
		other := originals[chance.IntN(len(originals))]
		what := ""
		switch kind := chance.IntN(20); {
		case kind < 10:
			what = m.number(chance, o)
		case kind < 13:
			what = m.flip(chance)
		case kind < 14:
			what = m.truncate(chance)
		case kind < 15:
			what = m.swap(chance, o)
		case kind < 17:
			what = m.splice(chance, o, other)
		case kind < 18:
			what = m.redirect(chance, o)
		default:
			what = m.btfReference(chance, o)
		}
		if what != "" {
			m.Did = append(m.Did, what)
		}
	}
	return m
}

// number puts another number into a field.
func (m *Mutant) number(chance *rand.Rand, o *Original) string {
	f := o.fields[chance.IntN(len(o.fields))]
	if f.at+f.length > len(m.Data) {
		return ""
	}
	bits := 8 * f.length
	was := get(m.Data[f.at:], f.length)
	size := uint64(len(m.Data))
	now := []uint64{
		0, 1, was + 1, was - 1, was * 2, was ^ 1<<chance.IntN(bits), 1 << (bits - 1), 1<<(bits-1) - 1,
		^uint64(0), ^uint64(0) - 7, size, size - was, chance.Uint64(), chance.Uint64() >> chance.IntN(64),
		uint64(chance.IntN(256)), uint64(8 * chance.IntN(64)),
	}[chance.IntN(16)]
	put(m.Data[f.at:], f.length, now)
	return fmt.Sprintf("%s: %#x instead of %#x", f.what, now, was)
}

func get(b []byte, length int) uint64 {
	var wide [8]byte
	copy(wide[:], b[:length])
	return binary.LittleEndian.Uint64(wide[:])
}

func put(b []byte, length int, n uint64) {
	var wide [8]byte
	binary.LittleEndian.PutUint64(wide[:], n)
	copy(b[:length], wide[:])
}

// flip changes single bytes anywhere.
func (m *Mutant) flip(chance *rand.Rand) string {
	if len(m.Data) == 0 {
		return ""
	}
	n := 1 + chance.IntN(8)
	for range n {
		m.Data[chance.IntN(len(m.Data))] ^= byte(1 << chance.IntN(8))
	}
	return fmt.Sprintf("%d bits flipped", n)
}

func (m *Mutant) truncate(chance *rand.Rand) string {
	m.Data = m.Data[:chance.IntN(len(m.Data)+1)]
	return fmt.Sprintf("cut to %d bytes", len(m.Data))
}

// swap has two section headers change places, or only where their sections lie.
func (m *Mutant) swap(chance *rand.Rand, o *Original) string {
	a, b := o.sections[chance.IntN(len(o.sections))], o.sections[chance.IntN(len(o.sections))]
	from, length := 0, 64
	if chance.IntN(2) == 0 {
		from, length = 24, 16 // sh_offset and sh_size
	}
	if max(a.header, b.header)+64 > len(m.Data) {
		return ""
	}
	x, y := m.Data[a.header+from:][:length], m.Data[b.header+from:][:length]
	kept := bytes.Clone(x)
	copy(x, y)
	copy(y, kept)
	return fmt.Sprintf("%d bytes of the headers of %s and %s swapped", length, a.name, b.name)
}

// splice writes a part of another file, or of a section, over this one.
func (m *Mutant) splice(chance *rand.Rand, o, other *Original) string {
	if len(m.Data) == 0 {
		return ""
	}
	to, from := o.sections[chance.IntN(len(o.sections))], other.sections[chance.IntN(len(other.sections))]
	if chance.IntN(2) == 0 {
		from.offset, from.size = chance.IntN(len(other.Data)), 1+chance.IntN(256)
	}
	if to.offset >= len(m.Data) || from.offset >= len(other.Data) {
		return ""
	}
	part := other.Data[from.offset:min(from.offset+from.size, len(other.Data))]
	n := copy(m.Data[to.offset:], part)
	return fmt.Sprintf("%d bytes of %s (%s) at %s", n, other.Name, from.name, to.name)
}

// redirect has a header describe another section.
func (m *Mutant) redirect(chance *rand.Rand, o *Original) string {
	a, b := o.sections[chance.IntN(len(o.sections))], o.sections[chance.IntN(len(o.sections))]
	if max(a.header, b.header)+64 > len(m.Data) {
		return ""
	}
	switch chance.IntN(3) {
	case 0: // under another's name
		copy(m.Data[a.header:][:4], m.Data[b.header:][:4])
		return fmt.Sprintf("%s called %s", a.name, b.name)
	case 1: // of another type
		copy(m.Data[a.header+4:][:4], m.Data[b.header+4:][:4])
		return fmt.Sprintf("%s of the type of %s", a.name, b.name)
	}
	put(m.Data[a.header+4:], 4, uint64(elf.SHT_NOBITS))
	return a.name + " without bytes in the file"
}

// btfReference has a type refer to another type, to itself perhaps, or be another kind.
func (m *Mutant) btfReference(chance *rand.Rand, o *Original) string {
	if o.btf == nil || o.btf.offset+o.btf.size > len(m.Data) || o.btf.size < 40 {
		return ""
	}
	words := (o.btf.size - 24) / 4
	at := o.btf.offset + 24 + 4*chance.IntN(words)
	was := get(m.Data[at:], 4)
	now := uint64(1 + chance.IntN(words/4))
	if chance.IntN(4) == 0 { // an info word
		now = uint64(chance.IntN(32))<<24 | uint64(chance.IntN(8)) | uint64(chance.IntN(2))<<31
	}
	put(m.Data[at:], 4, now)
	return fmt.Sprintf(".BTF at %d: %#x instead of %#x", at-o.btf.offset, now, was)
}
