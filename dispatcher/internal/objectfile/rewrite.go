package objectfile

import (
	"cmp"
	"debug/elf"
	"maps"
	"slices"
)

// withSections is the file with other contents of sections, which are added if they aren't
// there. Everything else keeps its place: contents, names and headers are put behind the end.
func (f *File) withSections(contents map[string][]byte) []byte {
	data := slices.Clone(f.data)
	table, names := int(order.Uint64(data[40:])), int(order.Uint16(data[62:]))
	headers := slices.Clone(data[table:][:len(f.sections)*sectionHeaderSize])
	text := slices.Clone(f.content(&f.sections[names]))
	put := func(header, content []byte) {
		data = append(data, make([]byte, -len(data)&7)...)
		order.PutUint64(header[24:], uint64(len(data)))
		order.PutUint64(header[32:], uint64(len(content)))
		data = append(data, content...)
	}
	for _, name := range sortedKeys(contents) {
		if s := f.named(name); s != nil {
			put(headers[s.index*sectionHeaderSize:], contents[name])
			continue
		}
		header := make([]byte, sectionHeaderSize)
		order.PutUint32(header, uint32(len(text)))
		order.PutUint32(header[4:], uint32(elf.SHT_PROGBITS))
		order.PutUint64(header[48:], 1) // alignment
		text = append(append(text, name...), 0)
		put(header, contents[name])
		headers = append(headers, header...)
	}
	put(headers[names*sectionHeaderSize:], text)
	data = append(data, make([]byte, -len(data)&7)...)
	order.PutUint64(data[40:], uint64(len(data)))
	order.PutUint16(data[60:], uint16(len(headers)/sectionHeaderSize))
	return append(data, headers...)
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// WithFunction is the file with other instructions of a function, which is all that .text has, and
// refers to nothing. What .BTF.ext says of its lines stays true of as many instructions as it had;
// so code has at least as many.
func (f *File) WithFunction(name string, code []byte) ([]byte, error) {
	table := f.named(".symtab")
	if table == nil || f.text == 0 {
		return nil, damaged("it has no function %q", name)
	}
	symbols := slices.Clone(f.content(table))
	for i, s := range f.symbols {
		if s.kind != elf.STT_FUNC || int(s.section) != f.text {
			continue
		}
		if stringAt(f.names, s.name) != name || s.size != f.sections[f.text].size || uint64(len(code)) < s.size {
			return nil, damaged("function %q isn't all that .text has, or is too long", name)
		}
		order.PutUint64(symbols[i*symbolSize+16:], uint64(len(code)))
		return f.withSections(map[string][]byte{".text": code, ".symtab": symbols}), nil
	}
	return nil, damaged("it has no function %q", name)
}
