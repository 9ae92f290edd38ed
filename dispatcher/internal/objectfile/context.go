package objectfile

import "debug/elf"

// insn is an instruction (struct bpf_insn).
type insn struct {
	code     byte
	dst, src byte // registers
	off      int16
	imm      int32
}

// function finds the function of that name and its section; nil: it is not in the file.
func (f *File) function(name string) (*symbol, *section) {
	for i := range f.symbols {
		sym := &f.symbols[i]
		if sym.kind != elf.STT_FUNC || sym.section == elf.SHN_UNDEF || int(sym.section) >= len(f.sections) || stringAt(f.names, sym.name) != name {
			continue
		}
		if s := &f.sections[sym.section]; s.isCode() {
			return sym, s
		}
	}
	return nil, nil
}

// code are the instructions of a function; nil: it is not in the file.
func (f *File) code(function string) []insn {
	sym, s := f.function(function)
	if sym == nil {
		return nil
	}
	bytes := f.content(s)[sym.value:][:sym.size]
	var code []insn
	for ; len(bytes) >= instructionSize; bytes = bytes[instructionSize:] {
		code = append(code, decodeInsn(bytes))
	}
	return code
}

func decodeInsn(bytes []byte) insn {
	i := insn{code: bytes[0], dst: bytes[1] & 0xf, src: bytes[1] >> 4, off: int16(order.Uint16(bytes[2:])), imm: int32(order.Uint32(bytes[4:]))}
	if order.Uint16([]byte{1, 0}) != 1 { // the registers are bit fields
		i.dst, i.src = i.src, i.dst
	}
	return i
}

// ReadsContext says whether a function surely reads the four bytes of its context that
// lie at an offset. It follows the context through registers alone, and the code down all
// its branches. Where constants of the file may keep the kernel from looking at a branch,
// nothing is sure.
func (f *File) ReadsContext(function string, offset int16) bool {
	if f.hasConstants() {
		return false
	}
	const unvisited = 1 << 15
	code := f.code(function)
	holds := make([]uint16, len(code)) // the registers that hold the context, before each instruction
	for i := range holds {
		holds[i] = unvisited
	}
	type step struct {
		at  int
		reg uint16
	}
	todo := []step{{0, 1 << 1}}
	for len(todo) > 0 {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if s.at < 0 || s.at >= len(code) {
			continue
		}
		if before := holds[s.at]; before != unvisited {
			if s.reg &= before; s.reg == before {
				continue // nothing new
			}
		}
		holds[s.at] = s.reg
		i := code[s.at]
		if i.code == loadWord && s.reg&(1<<i.src) != 0 && i.off == offset {
			return true
		}
		for _, next := range i.next(s.at) {
			todo = append(todo, step{next, i.registers(s.reg)})
		}
	}
	return false
}

// loadWord is BPF_LDX | BPF_MEM | BPF_W.
const loadWord = 0x61

// The classes of instructions, and the operations of jumps.
const (
	classMask, opMask                                                       = 0x07, 0xf0
	classLD, classLDX, classSTX, classALU, classJMP, classJMP32, classALU64 = 0, 1, 3, 4, 5, 6, 7

	opJA, opCall, opExit = 0x00, 0x80, 0x90
	moveRegister         = 0xbf // BPF_ALU64 | BPF_MOV | BPF_X
	atomic               = 0xc0 // the mode BPF_ATOMIC
)

// next are the instructions that may follow one at that place.
func (i insn) next(at int) []int {
	class, op := i.code&classMask, i.code&opMask
	switch {
	case i.code == loadWide:
		return []int{at + 2}
	case class != classJMP && class != classJMP32, op == opCall:
		return []int{at + 1}
	case op == opExit:
		return nil
	case op == opJA && class == classJMP32:
		return []int{at + 1 + int(i.imm)}
	case op == opJA:
		return []int{at + 1 + int(i.off)}
	}
	return []int{at + 1, at + 1 + int(i.off)}
}

// registers are those that hold the context after the instruction.
func (i insn) registers(before uint16) uint16 {
	switch class := i.code & classMask; {
	case i.code == moveRegister && i.off == 0:
		if before&(1<<i.src) != 0 {
			return before | 1<<i.dst
		}
		return before &^ (1 << i.dst)
	case class == classLD, class == classLDX, class == classALU, class == classALU64:
		return before &^ (1 << i.dst)
	case class == classJMP && i.code&opMask == opCall:
		return before &^ 0x3f // r0 to r5
	case class == classSTX && i.code&0xe0 == atomic:
		return before &^ (1<<i.src | 1)
	}
	return before
}

// hasConstants says whether the object has constants that its loader may set, by which
// the kernel may find code unreachable.
func (f *File) hasConstants() bool {
	if f.BTF == nil {
		return false
	}
	for id := uint32(1); f.BTF.has(id); id++ {
		if t := f.BTF.typeOf(id); t.kind == kindDatasec && t.vlen > 0 {
			if name := f.BTF.nameOf(t); name == ".kconfig" || len(name) >= 7 && name[:7] == ".rodata" {
				return true
			}
		}
	}
	return false
}
