package objectfile

// FunctionTypes are the ids of the types of functions in section .BTF, by their names, as
// section .BTF.ext says it of their first instructions: by that, and not by its name, the
// kernel knows what a function takes and returns. A function of which nothing is said is left
// out.
func (f *File) FunctionTypes() map[string]uint32 {
	types := map[string]uint32{}
	typed := f.typedFunctions()
	for _, fn := range f.functions() {
		if id := typed[fn.section][fn.at]; id != 0 {
			types[fn.name] = id
		}
	}
	return types
}

// functionInfos yields what section .BTF.ext says of the functions (struct
// btf_ext_header, btf_ext_info_sec, bpf_func_info): for each section with code the types
// of the functions that start at its instructions. What is cut ends it.
func (f *File) functionInfos(yield func(section string, infos func(func(instruction, typeID uint32) bool)) bool) {
	const header, sectionHeader, least = 24, 8, 8
	s := f.named(".BTF.ext")
	if s == nil {
		return
	}
	data := f.content(s)
	if len(data) < header || order.Uint16(data) != btfMagic {
		return
	}
	headerSize, at, size := uint64(order.Uint32(data[4:])), uint64(order.Uint32(data[8:])), uint64(order.Uint32(data[12:]))
	if start := headerSize + at; start+size > uint64(len(data)) {
		return
	} else {
		data = data[start:][:size]
	}
	if len(data) < 4 {
		return
	}
	record := uint64(order.Uint32(data))
	if data = data[4:]; record < least {
		return
	}
	for len(data) >= sectionHeader {
		name, count := order.Uint32(data), uint64(order.Uint32(data[4:]))
		data = data[sectionHeader:]
		if count > uint64(len(data))/record {
			return
		}
		records := data[:count*record]
		data = data[count*record:]
		infos := func(yield func(instruction, typeID uint32) bool) {
			for r := records; len(r) > 0; r = r[record:] {
				if !yield(order.Uint32(r)/instructionSize, order.Uint32(r[4:])) {
					return
				}
			}
		}
		if !yield(stringAt(f.BTF.strings, name), infos) {
			return
		}
	}
}
