package libxdp

/*
#include "shim.h"
*/
import "C"

import "github.com/xdpmux/xdpmux/cgo/libbpf"

// Multiprog is what runs on an interface: a dispatcher with its component programs, or a
// legacy program, which has none, and perhaps a program that is offloaded to the device.
type Multiprog struct{ ptr *C.struct_xdp_multiprog }

// GetMultiprog reads what runs on an interface. ENOENT: nothing does, or there is no such
// interface. It stands for xdp_multiprog__get_from_ifindex.
func GetMultiprog(ifindex int) (*Multiprog, error) {
	var err C.int
	ptr := C.xm_multiprog(C.int(ifindex), &err)
	if err := check("xdp_multiprog__get_from_ifindex", err); err != nil {
		return nil, err
	}
	return &Multiprog{ptr: ptr}, nil
}

// Close frees the multiprog and its programs; all of them go on running. It stands for
// xdp_multiprog__close.
func (m *Multiprog) Close() error {
	if m != nil && m.ptr != nil {
		C.xdp_multiprog__close(m.ptr)
		m.ptr = nil
	}
	return nil
}

func borrow(ptr *C.struct_xdp_program) *Program {
	if ptr == nil {
		return nil
	}
	return &Program{ptr: ptr, borrowed: true}
}

// Programs are the component programs in the order they run, borrowed. A legacy program is
// not among them. It stands for xdp_multiprog__next_prog.
func (m *Multiprog) Programs() []*Program {
	var all []*Program
	for p := C.xdp_multiprog__next_prog(nil, m.ptr); p != nil; p = C.xdp_multiprog__next_prog(p, m.ptr) {
		all = append(all, borrow(p))
	}
	return all
}

// MainProgram is the dispatcher, or the legacy program, borrowed. It is nil where only an
// offloaded program runs. It stands for xdp_multiprog__main_prog.
func (m *Multiprog) MainProgram() *Program { return borrow(C.xdp_multiprog__main_prog(m.ptr)) }

// HWProgram is the offloaded program, borrowed. It is nil where there is none. It stands
// for xdp_multiprog__hw_prog.
func (m *Multiprog) HWProgram() *Program { return borrow(C.xdp_multiprog__hw_prog(m.ptr)) }

// IsLegacy says whether the main program is no dispatcher. It stands for
// xdp_multiprog__is_legacy.
func (m *Multiprog) IsLegacy() bool { return bool(C.xdp_multiprog__is_legacy(m.ptr)) }

// AttachMode is the mode of the main program. It stands for xdp_multiprog__attach_mode.
func (m *Multiprog) AttachMode() AttachMode { return AttachMode(C.xdp_multiprog__attach_mode(m.ptr)) }

// ProgramCount is the number of component programs. It stands for
// xdp_multiprog__program_count.
func (m *Multiprog) ProgramCount() int { return int(C.xdp_multiprog__program_count(m.ptr)) }

// FragsSupport says whether the chain takes packets of several buffers. It
// stands for xdp_multiprog__xdp_frags_support.
func (m *Multiprog) FragsSupport() bool { return bool(C.xdp_multiprog__xdp_frags_support(m.ptr)) }

// DeviceBound says whether the dispatcher is bound to its device, so that its programs
// may call functions of the driver. [*libbpf.UnsupportedError]: libxdp is older than 1.6.
// It stands for xdp_multiprog__xdp_dev_bound.
func (m *Multiprog) DeviceBound() (bool, error) {
	if !C.xm_has_dev_bound() {
		return false, &libbpf.UnsupportedError{Op: "xdp_multiprog__xdp_dev_bound", Needs: "libxdp 1.6"}
	}
	return bool(C.xm_dev_bound(m.ptr)), nil
}

// Detach takes all programs off the interface. It stands for xdp_multiprog__detach.
func (m *Multiprog) Detach() error {
	return check("xdp_multiprog__detach", C.xdp_multiprog__detach(m.ptr))
}
