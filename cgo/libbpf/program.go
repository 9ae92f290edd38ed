package libbpf

/*
#include "shim.h"
*/
import "C"

import "unsafe"

// ProgType is the kernel's type of a program (enum bpf_prog_type).
type ProgType uint32

// The types that chains of XDP programs are made of, and watched by; any other number of
// the kernel's is as good. A program of type ext replaces a function of another program
// (freplace).
const (
	ProgTypeUnspec  ProgType = C.BPF_PROG_TYPE_UNSPEC
	ProgTypeXDP     ProgType = C.BPF_PROG_TYPE_XDP
	ProgTypeTracing ProgType = C.BPF_PROG_TYPE_TRACING
	ProgTypeExt     ProgType = C.BPF_PROG_TYPE_EXT
)

// String is libbpf's word for the type, such as "xdp" or "ext", and "unknown" for a number
// that it doesn't know. It stands for libbpf_bpf_prog_type_str.
func (t ProgType) String() string {
	if s := C.libbpf_bpf_prog_type_str(uint32(t)); s != nil {
		return C.GoString(s)
	}
	return "unknown"
}

// AttachType is where a program goes (enum bpf_attach_type).
type AttachType uint32

// The attach types of those programs. A program of type ext has none: 0.
const (
	AttachXDP        AttachType = C.BPF_XDP
	AttachTraceEntry AttachType = C.BPF_TRACE_FENTRY
	AttachTraceExit  AttachType = C.BPF_TRACE_FEXIT
	AttachTraceIter  AttachType = C.BPF_TRACE_ITER
)

// Flags of [Program.SetFlags].
const (
	// FlagXDPHasFrags marks a program that takes packets of several buffers.
	FlagXDPHasFrags = C.BPF_F_XDP_HAS_FRAGS
	// FlagXDPDevBoundOnly (BPF_F_XDP_DEV_BOUND_ONLY) binds a program to the device of
	// [Program.SetIfindex], so that it may call functions of the driver. It takes Linux 6.3.
	FlagXDPDevBoundOnly = 1 << 6
)

// Program is one program of an object, borrowed from it.
type Program struct{ ptr *C.struct_bpf_program }

// Name is the function's name. It stands for bpf_program__name.
func (p *Program) Name() string { return C.GoString(C.bpf_program__name(p.ptr)) }

// Section is the name of the ELF section that holds the program. It stands for
// bpf_program__section_name.
func (p *Program) Section() string { return C.GoString(C.bpf_program__section_name(p.ptr)) }

// Type is the type that libbpf loads the program as. It is ProgTypeUnspec where the
// section's name tells libbpf nothing; then SetType has to be called. It stands for
// bpf_program__type.
func (p *Program) Type() ProgType { return ProgType(C.bpf_program__type(p.ptr)) }

// SetType sets that type, before the load. It stands for bpf_program__set_type.
func (p *Program) SetType(t ProgType) error {
	return check("bpf_program__set_type", C.bpf_program__set_type(p.ptr, uint32(t)))
}

// SetExpectedAttachType sets the attach type that the program is loaded for, before the
// load. It stands for bpf_program__set_expected_attach_type.
func (p *Program) SetExpectedAttachType(t AttachType) error {
	return check("bpf_program__set_expected_attach_type", C.bpf_program__set_expected_attach_type(p.ptr, uint32(t)))
}

// ExpectedAttachType is the attach type that the program is loaded for. It stands for
// bpf_program__expected_attach_type.
func (p *Program) ExpectedAttachType() AttachType {
	return AttachType(C.bpf_program__expected_attach_type(p.ptr))
}

// SetAttachTarget names the loaded program, and the function in it, that this program
// replaces (ext) or traces (fentry, fexit), before the load. It stands for
// bpf_program__set_attach_target.
func (p *Program) SetAttachTarget(progFD int, function string) error {
	name := cString(function)
	defer freeString(name)
	return check("bpf_program__set_attach_target", C.bpf_program__set_attach_target(p.ptr, C.int(progFD), name))
}

// Autoload says whether Object.Load will load the program. It stands for
// bpf_program__autoload.
func (p *Program) Autoload() bool { return bool(C.bpf_program__autoload(p.ptr)) }

// SetAutoload changes that, before the load. It stands for bpf_program__set_autoload.
func (p *Program) SetAutoload(on bool) error {
	return check("bpf_program__set_autoload", C.bpf_program__set_autoload(p.ptr, C.bool(on)))
}

// Flags are the flags that the program is loaded with. It stands for bpf_program__flags.
func (p *Program) Flags() uint32 { return uint32(C.bpf_program__flags(p.ptr)) }

// SetFlags sets all of them, before the load. It stands for bpf_program__set_flags.
func (p *Program) SetFlags(flags uint32) error {
	return check("bpf_program__set_flags", C.bpf_program__set_flags(p.ptr, C.__u32(flags)))
}

// SetIfindex names the device that the program is for, before the load: it is offloaded
// to it, or with FlagXDPDevBoundOnly bound to it. It stands for bpf_program__set_ifindex.
func (p *Program) SetIfindex(ifindex int) { C.bpf_program__set_ifindex(p.ptr, C.__u32(ifindex)) }

// Insns is the number of instructions in the file, before relocation. It stands
// for bpf_program__insn_cnt.
func (p *Program) Insns() int { return int(C.bpf_program__insn_cnt(p.ptr)) }

// Insn is an instruction (struct bpf_insn).
type Insn struct {
	Code     byte
	Dst, Src uint8 // registers
	Off      int16
	Imm      int32
}

// SetInsns replaces the program's instructions, before the load. It stands for
// bpf_program__set_insns.
func (p *Program) SetInsns(insns []Insn) error {
	c := make([]C.struct_bpf_insn, len(insns))
	for i, insn := range insns {
		C.xm_set_insn(&c[i], C.__u8(insn.Code), C.__u8(insn.Dst), C.__u8(insn.Src), C.__s16(insn.Off), C.__s32(insn.Imm))
	}
	return check("bpf_program__set_insns", C.bpf_program__set_insns(p.ptr, unsafe.SliceData(c), C.size_t(len(c))))
}

// FD is the loaded program's descriptor, borrowed from the object. It is negative before
// the load. It stands for bpf_program__fd.
func (p *Program) FD() int { return int(C.bpf_program__fd(p.ptr)) }
