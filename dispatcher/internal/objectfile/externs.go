package objectfile

import "debug/elf"

// KernelFunctions are the kernel's functions (kfuncs) that the object can't do without:
// declared with __ksym and not __weak.
func (f *File) KernelFunctions() []string {
	if f.BTF == nil {
		return nil
	}
	declared := map[string]bool{}
	for id := uint32(1); f.BTF.has(id); id++ {
		if t := f.BTF.typeOf(id); t.kind == kindFunc {
			declared[f.BTF.nameOf(t)] = true
		}
	}
	var names []string
	for _, s := range f.symbols {
		if s.section != elf.SHN_UNDEF || s.kind != elf.STT_NOTYPE || s.bind != elf.STB_GLOBAL {
			continue
		}
		if name := stringAt(f.names, s.name); declared[name] {
			names = append(names, name)
		}
	}
	return names
}
