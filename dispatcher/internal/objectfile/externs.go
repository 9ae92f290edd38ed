package objectfile

import (
	"debug/elf"
	"slices"
)

// KernelFunctions are the kernel's functions (kfuncs) that the object can't do without:
// declared with __ksym and not __weak.
func (f *File) KernelFunctions() []string {
	functions := f.externs(".ksyms", kindFunc)
	return slices.DeleteFunc(f.undefined(), func(name string) bool { return !functions[name] })
}

// Undefined are the functions and variables that the object uses and neither has nor expects
// of the kernel (__ksym, __kconfig). libbpf opens no such object. nil: it has no types, of
// which libbpf says something else.
func (f *File) Undefined() []string {
	if f.BTF == nil {
		return nil
	}
	ksyms, kconfig := f.externs(".ksyms", 0), f.externs(".kconfig", 0)
	return slices.DeleteFunc(f.undefined(), func(name string) bool { return ksyms[name] || kconfig[name] })
}

// undefined are the symbols that something else has to have.
func (f *File) undefined() []string {
	var names []string
	for _, s := range f.symbols {
		if s.section == elf.SHN_UNDEF && s.kind == elf.STT_NOTYPE && s.bind == elf.STB_GLOBAL {
			names = append(names, stringAt(f.names, s.name))
		}
	}
	return names
}

// externs are the names of that section of the types; kind 0: of whatever kind.
func (f *File) externs(section string, kind int) map[string]bool {
	if f.BTF == nil {
		return nil
	}
	found := map[string]bool{}
	for id := uint32(1); f.BTF.has(id); id++ {
		t := f.BTF.typeOf(id)
		if t.kind != kindDatasec || f.BTF.nameOf(t) != section {
			continue
		}
		for e := range t.entries {
			if of := f.BTF.typeOf(e.ref); kind == 0 || of.kind == kind {
				found[f.BTF.nameOf(of)] = true
			}
		}
	}
	return found
}
