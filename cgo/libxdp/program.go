package libxdp

/*
#include "shim.h"
*/
import "C"

import (
	"time"
	"unsafe"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// Program is an XDP program: one of an object, which Attach loads, or one that is loaded.
type Program struct {
	ptr      *C.struct_xdp_program
	borrowed bool
}

func newProgram(op string, ptr *C.struct_xdp_program, err C.int) (*Program, error) {
	if err := check(op, err); err != nil {
		return nil, err
	}
	return &Program{ptr: ptr}, nil
}

// OpenFile opens the first program in a section of an object file; empty: of the file.
// pinRoot is the directory of maps that are declared with LIBBPF_PIN_BY_NAME; empty:
// /sys/fs/bpf. It stands for xdp_program__open_file.
func OpenFile(path, section, pinRoot string) (*Program, error) {
	p, s, r := cString(path), cString(section), cString(pinRoot)
	defer freeString(p)
	defer freeString(s)
	defer freeString(r)
	var err C.int
	ptr := C.xm_open_file(p, s, r, &err)
	return newProgram("xdp_program__open_file", ptr, err)
}

// FindFile is OpenFile for a file in the directory that LIBXDP_OBJECT_PATH names, or in
// libxdp's own. It stands for xdp_program__find_file.
func FindFile(name, section, pinRoot string) (*Program, error) {
	n, s, r := cString(name), cString(section), cString(pinRoot)
	defer freeString(n)
	defer freeString(s)
	defer freeString(r)
	var err C.int
	ptr := C.xm_find_file(n, s, r, &err)
	return newProgram("xdp_program__find_file", ptr, err)
}

// FromObject is the program with that function name in an object; empty: the first one. It
// stands for xdp_program__create.
func FromObject(obj *libbpf.Object, name string) (*Program, error) {
	n := cString(name)
	defer freeString(n)
	var err C.int
	ptr := C.xm_create((*C.struct_bpf_object)(obj.Pointer()), n, &err)
	return newProgram("xdp_program__create", ptr, err)
}

// FromObjectSection is the first program in that section of an object. It stands
// for xdp_program__from_bpf_obj.
func FromObjectSection(obj *libbpf.Object, section string) (*Program, error) {
	s := cString(section)
	defer freeString(s)
	var err C.int
	ptr := C.xm_from_obj((*C.struct_bpf_object)(obj.Pointer()), s, &err)
	return newProgram("xdp_program__from_bpf_obj", ptr, err)
}

// FromID is the loaded program with that id. It stands for xdp_program__from_id.
func FromID(id uint32) (*Program, error) {
	var err C.int
	ptr := C.xm_from_id(C.__u32(id), &err)
	return newProgram("xdp_program__from_id", ptr, err)
}

// FromFD is the loaded program behind a descriptor. The descriptor becomes libxdp's if that
// succeeds, and is closed if it doesn't. It stands for xdp_program__from_fd.
func FromFD(fd *libbpf.FD) (*Program, error) {
	var ret C.int
	ptr := C.xm_from_fd(C.int(fd.Int()), &ret)
	if ret == 0 {
		fd.Release()
	} else {
		fd.Close()
	}
	return newProgram("xdp_program__from_fd", ptr, ret)
}

// FromPin is the loaded program that is pinned at path. It stands for
// xdp_program__from_pin.
func FromPin(path string) (*Program, error) {
	p := cString(path)
	defer freeString(p)
	var err C.int
	ptr := C.xm_from_pin(p, &err)
	return newProgram("xdp_program__from_pin", ptr, err)
}

// Clone is a copy of a program that isn't loaded yet, to be loaded by itself. It stands for
// xdp_program__clone.
func (p *Program) Clone() (*Program, error) {
	var err C.int
	ptr := C.xm_clone(p.ptr, &err)
	return newProgram("xdp_program__clone", ptr, err)
}

// Close frees the program; what is attached or pinned stays. It stands for
// xdp_program__close.
func (p *Program) Close() error {
	if p != nil && p.ptr != nil && !p.borrowed {
		C.xdp_program__close(p.ptr)
		p.ptr = nil
	}
	return nil
}

// Name is the function's name. It stands for xdp_program__name.
func (p *Program) Name() string { return C.GoString(C.xdp_program__name(p.ptr)) }

// Tag is the kernel's hash of the program's instructions, zero before the load. It stands
// for xdp_program__tag.
func (p *Program) Tag() libbpf.Tag {
	return libbpf.Tag(unsafe.Slice((*byte)(unsafe.Pointer(C.xdp_program__tag(p.ptr))), len(libbpf.Tag{})))
}

// ID is the kernel's number of the program, 0 before the load. It stands for
// xdp_program__id.
func (p *Program) ID() uint32 { return uint32(C.xdp_program__id(p.ptr)) }

// FD is the program's descriptor, borrowed. It is negative before the load. It stands for
// xdp_program__fd.
func (p *Program) FD() int { return int(C.xdp_program__fd(p.ptr)) }

// Object is the object that the program is from, borrowed. It is nil for a program that
// was loaded already. It stands for xdp_program__bpf_obj.
func (p *Program) Object() *libbpf.Object {
	ptr := C.xdp_program__bpf_obj(p.ptr)
	if ptr == nil {
		return nil
	}
	return libbpf.BorrowObject(unsafe.Pointer(ptr))
}

// HasBTF says whether the program has type information, without which it can't
// join a chain. It stands for xdp_program__btf.
func (p *Program) HasBTF() bool { return C.xdp_program__btf(p.ptr) != nil }

// RunPrio is the place of the program in a chain: those with smaller numbers run first. It
// stands for xdp_program__run_prio.
func (p *Program) RunPrio() uint32 { return uint32(C.xdp_program__run_prio(p.ptr)) }

// SetRunPrio changes that, before the load. It stands for xdp_program__set_run_prio.
func (p *Program) SetRunPrio(prio uint32) error {
	return check("xdp_program__set_run_prio", C.xdp_program__set_run_prio(p.ptr, C.uint(prio)))
}

// ChainCallEnabled says whether the next program of the chain runs after this one has
// returned that verdict (enum xdp_action). It stands for xdp_program__chain_call_enabled.
func (p *Program) ChainCallEnabled(action uint32) bool {
	return bool(C.xdp_program__chain_call_enabled(p.ptr, action))
}

// SetChainCallEnabled changes that, before the load. It stands for
// xdp_program__set_chain_call_enabled.
func (p *Program) SetChainCallEnabled(action uint32, on bool) error {
	return check("xdp_program__set_chain_call_enabled", C.xdp_program__set_chain_call_enabled(p.ptr, C.uint(action), C.bool(on)))
}

// FragsSupport says whether the program takes packets of several buffers. It
// stands for xdp_program__xdp_frags_support.
func (p *Program) FragsSupport() bool { return bool(C.xdp_program__xdp_frags_support(p.ptr)) }

// SetFragsSupport changes that, before the load. It stands for
// xdp_program__set_xdp_frags_support.
func (p *Program) SetFragsSupport(on bool) error {
	return check("xdp_program__set_xdp_frags_support", C.xdp_program__set_xdp_frags_support(p.ptr, C.bool(on)))
}

// IsAttached is the mode in which the program is on an interface, alone or in a chain, and
// ModeUnspec where it isn't. It stands for xdp_program__is_attached.
func (p *Program) IsAttached(ifindex int) AttachMode {
	return AttachMode(C.xdp_program__is_attached(p.ptr, C.int(ifindex)))
}

// Pin pins the loaded program. It stands for xdp_program__pin.
func (p *Program) Pin(path string) error {
	c := cString(path)
	defer freeString(c)
	return check("xdp_program__pin", C.xdp_program__pin(p.ptr, c))
}

// ChainCallActions are the names of the verdicts after which the next program runs,
// such as "XDP_PASS". It stands for xdp_program__print_chain_call_actions.
func (p *Program) ChainCallActions() (string, error) {
	var buf [128]C.char
	ret := C.xdp_program__print_chain_call_actions(p.ptr, &buf[0], C.size_t(len(buf)))
	return C.GoString(&buf[0]), check("xdp_program__print_chain_call_actions", ret)
}

// TestRun runs a program in a dispatcher that libxdp makes for it. EINVAL: the program is
// loaded, and not for a chain; [libbpf.TestRun] runs such a one. ENOSPC: the packet got
// longer than opts.Out; the result is there all the same. It stands for
// xdp_program__test_run.
func (p *Program) TestRun(opts libbpf.TestRunOptions) (*libbpf.TestRunResult, error) {
	ctx := make([]byte, len(opts.Context))
	run := C.struct_xm_xdp_test_run{
		in_size: C.__u32(len(opts.Data)), out_size: C.__u32(len(opts.Out)),
		ctx_in_size: C.__u32(len(opts.Context)), ctx_out_size: C.__u32(len(ctx)),
		repeat: C.__u32(opts.Repeat), flags: C.__u32(opts.Flags), batch: C.__u32(opts.BatchSize),
	}
	err := check("xdp_program__test_run", C.xm_xdp_test_run(p.ptr, &run,
		bytesPtr(opts.Data), bytesPtr(opts.Out), bytesPtr(opts.Context), bytesPtr(ctx)))
	return &libbpf.TestRunResult{
		Return:   uint32(run.retval),
		Data:     opts.Out[:min(len(opts.Out), int(run.out_size))],
		Size:     int(run.out_size),
		Context:  ctx[:min(len(ctx), int(run.ctx_out_size))],
		Duration: time.Duration(run.duration),
	}, err
}

// bytesPtr is the address of b's first byte; NULL for an empty slice.
func bytesPtr(b []byte) unsafe.Pointer {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Pointer(&b[0])
}

// AttachFlags change how programs are attached. 0 will do.
type AttachFlags uint32

// AttachDevBind binds the chain to its device, so that its programs may call functions of
// the driver. It takes libxdp 1.6.
const AttachDevBind AttachFlags = 1 << 0 // XDP_ATTACH_DEVBIND

// checkFlags refuses what an older libxdp would only call EINVAL.
func checkFlags(op string, flags AttachFlags) error {
	if flags&AttachDevBind != 0 && !bool(C.xm_has_dev_bound()) {
		return &libbpf.UnsupportedError{Op: op + " with XDP_ATTACH_DEVBIND", Needs: "libxdp 1.6"}
	}
	return nil
}

// Attach loads the program, and adds it to the interface's chain. It stands for
// xdp_program__attach.
func (p *Program) Attach(ifindex int, mode AttachMode, flags AttachFlags) error {
	const op = "xdp_program__attach"
	if err := checkFlags(op, flags); err != nil {
		return err
	}
	return check(op, C.xdp_program__attach(p.ptr, C.int(ifindex), uint32(mode), C.uint(flags)))
}

// Detach takes the program out of the interface's chain. It stands for
// xdp_program__detach.
func (p *Program) Detach(ifindex int, mode AttachMode) error {
	return check("xdp_program__detach", C.xdp_program__detach(p.ptr, C.int(ifindex), uint32(mode), 0))
}

// AttachMulti loads the programs, and adds all to the interface's chain in one step. It
// stands for xdp_program__attach_multi.
func AttachMulti(progs []*Program, ifindex int, mode AttachMode, flags AttachFlags) error {
	const op = "xdp_program__attach_multi"
	if err := checkFlags(op, flags); err != nil {
		return err
	}
	ptrs := pointers(progs)
	return check(op, C.xdp_program__attach_multi(unsafe.SliceData(ptrs), C.size_t(len(ptrs)), C.int(ifindex), uint32(mode), C.uint(flags)))
}

// DetachMulti takes the programs out of the interface's chain in one step. It stands for
// xdp_program__detach_multi.
func DetachMulti(progs []*Program, ifindex int, mode AttachMode) error {
	ptrs := pointers(progs)
	return check("xdp_program__detach_multi", C.xdp_program__detach_multi(unsafe.SliceData(ptrs), C.size_t(len(ptrs)), C.int(ifindex), uint32(mode), 0))
}

func pointers(progs []*Program) []*C.struct_xdp_program {
	ptrs := make([]*C.struct_xdp_program, len(progs))
	for i, p := range progs {
		ptrs[i] = p.ptr
	}
	return ptrs
}
