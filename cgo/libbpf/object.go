package libbpf

/*
#include "shim.h"
*/
import "C"

import (
	"syscall"
	"unsafe"
)

// OpenOptions says how an object is opened (struct bpf_object_open_opts). The zero value
// will do.
type OpenOptions struct {
	Name    string // the object's name; empty: libbpf takes the file's, or makes one up
	PinRoot string // the directory of maps that are declared with LIBBPF_PIN_BY_NAME; empty: /sys/fs/bpf
	BTFPath string // a file with the kernel's types, for CO-RE; empty: those of the running kernel
	LogSize int    // bytes to keep of the verifier's log when a load fails; 0: none is kept
}

// Object is a BPF object file that is open: its programs and maps can be looked at and
// changed until it is loaded, and used from then on.
type Object struct {
	ptr      *C.struct_bpf_object
	log      []byte // mapped memory that libbpf writes the verifier's log to
	borrowed bool
}

// The handlers take effect for all objects of the process that are opened from then on, and libbpf
// takes none while others open objects.
var handlers = check("libbpf_register_prog_handler", C.xm_register_handlers())

// OpenFile opens the object file at path. It stands for bpf_object__open_file.
func OpenFile(path string, opts OpenOptions) (*Object, error) {
	cPath := C.CString(path)
	defer freeString(cPath)
	return open("bpf_object__open_file", opts, func(name, root, btf, log *C.char, size C.size_t) (*C.struct_bpf_object, error) {
		ptr, err := C.xm_object_open_file(cPath, name, root, btf, log, size)
		return ptr, err
	})
}

// OpenMem opens an object file that is in memory; libbpf copies it. It stands
// for bpf_object__open_mem.
func OpenMem(data []byte, opts OpenOptions) (*Object, error) {
	return open("bpf_object__open_mem", opts, func(name, root, btf, log *C.char, size C.size_t) (*C.struct_bpf_object, error) {
		ptr, err := C.xm_object_open_mem(bytesPtr(data), C.size_t(len(data)), name, root, btf, log, size)
		return ptr, err
	})
}

func open(op string, opts OpenOptions, call func(name, root, btf, log *C.char, size C.size_t) (*C.struct_bpf_object, error)) (*Object, error) {
	name, root, btf := cString(opts.Name), cString(opts.PinRoot), cString(opts.BTFPath)
	defer freeString(name)
	defer freeString(root)
	defer freeString(btf)
	o := &Object{}
	if opts.LogSize > 0 {
		// Mapped, not allocated: libbpf keeps the address, and pages that no log
		// fills cost nothing.
		log, err := syscall.Mmap(-1, 0, opts.LogSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANONYMOUS)
		if err != nil {
			return nil, &Error{Op: "mmap", Errno: err.(syscall.Errno)}
		}
		o.log = log
	}
	ptr, err := call(name, root, btf, (*C.char)(bytesPtr(o.log)), C.size_t(len(o.log)))
	if err := checkPtr(op, ptr == nil, err); err != nil {
		o.Close()
		return nil, err
	}
	o.ptr = ptr
	return o, nil
}

// BorrowObject wraps a bpf_object that C code owns, such as libxdp. It is for other cgo
// packages.
func BorrowObject(ptr unsafe.Pointer) *Object {
	return &Object{ptr: (*C.struct_bpf_object)(ptr), borrowed: true}
}

// Pointer is the bpf_object, which o still owns. It is for other cgo packages.
func (o *Object) Pointer() unsafe.Pointer { return unsafe.Pointer(o.ptr) }

// Close frees the object and closes the descriptors of its programs and maps.
// What is attached or pinned stays. It stands for bpf_object__close.
func (o *Object) Close() error {
	if o.ptr != nil && !o.borrowed {
		C.bpf_object__close(o.ptr)
	}
	o.ptr = nil
	if o.log != nil {
		log := o.log
		o.log = nil
		return syscall.Munmap(log)
	}
	return nil
}

// Target says which function of a loaded program a program of an object replaces or traces.
// Where [Program.SetAttachTarget] finds the function by its name, and for that opens type
// information by id, which takes CAP_SYS_ADMIN, a Target has the function's id.
type Target struct {
	Program *Program   // of the object; its section is one of XDP, "fentry" or "fexit", or one that libbpf doesn't know
	Type    ProgType   // that it is loaded as: ProgTypeExt or ProgTypeTracing
	Attach  AttachType // expected attach type; 0 for ProgTypeExt
	FD      int        // of the loaded program
	BTFID   uint32     // of the function, in the BTF of the loaded program; see [BTF.Find] and [ProgFuncType]
}

// Load makes the maps, and loads the programs that are to be loaded, those of targets for what
// these say. The [*Error] of a program that the verifier refuses has its log, if
// OpenOptions.LogSize has room for one. EOPNOTSUPP: this libbpf can't load the program of a
// target; it is 1.2 and doesn't know the section. It stands for bpf_object__load, targets for
// attach_prog_fd and attach_btf_id of struct bpf_prog_load_opts.
func (o *Object) Load(targets ...Target) error {
	if len(targets) > 0 && handlers != nil {
		return handlers
	}
	all := make([]C.struct_xm_target, len(targets))
	for i, t := range targets {
		all[i] = C.struct_xm_target{prog: t.Program.ptr, _type: C.__u32(t.Type), attach: C.__u32(t.Attach), fd: C.int(t.FD), btf_id: C.__u32(t.BTFID)}
	}
	err := check("bpf_object__load", C.xm_object_load(o.ptr, unsafe.SliceData(all), C.int(len(all))))
	if err != nil {
		err.(*Error).Log = o.VerifierLog()
	}
	return err
}

// VerifierLog is what the verifier has written about a failed load. It is empty where no
// load has failed, and where OpenOptions.LogSize was 0.
func (o *Object) VerifierLog() string {
	if len(o.log) == 0 {
		return ""
	}
	return C.GoString((*C.char)(bytesPtr(o.log)))
}

// Name is the object's name. It stands for bpf_object__name.
func (o *Object) Name() string { return C.GoString(C.bpf_object__name(o.ptr)) }

// HasBTF says whether the object holds type information. It stands for
// bpf_object__btf.
func (o *Object) HasBTF() bool { return C.bpf_object__btf(o.ptr) != nil }

// BTF is the object's type information, borrowed; nil if it has none. It stands
// for bpf_object__btf.
func (o *Object) BTF() *BTF {
	ptr := C.bpf_object__btf(o.ptr)
	if ptr == nil {
		return nil
	}
	return &BTF{ptr: ptr, borrowed: true}
}

// FindProgram is the program with that function name; nil: there is none. It stands for
// bpf_object__find_program_by_name.
func (o *Object) FindProgram(name string) *Program {
	n := C.CString(name)
	defer freeString(n)
	ptr := C.bpf_object__find_program_by_name(o.ptr, n)
	if ptr == nil {
		return nil
	}
	return &Program{ptr: ptr}
}

// FindMap is the map with that name; nil: there is none. It stands for
// bpf_object__find_map_by_name.
func (o *Object) FindMap(name string) *Map {
	n := C.CString(name)
	defer freeString(n)
	ptr := C.bpf_object__find_map_by_name(o.ptr, n)
	if ptr == nil {
		return nil
	}
	return &Map{ptr: ptr}
}

// Programs lists the programs in the file's order. It stands for
// bpf_object__next_program.
func (o *Object) Programs() []*Program {
	var all []*Program
	for p := C.bpf_object__next_program(o.ptr, nil); p != nil; p = C.bpf_object__next_program(o.ptr, p) {
		all = append(all, &Program{ptr: p})
	}
	return all
}

// Maps lists the maps, those that libbpf makes for global variables included. It stands
// for bpf_object__next_map.
func (o *Object) Maps() []*Map {
	var all []*Map
	for m := C.bpf_object__next_map(o.ptr, nil); m != nil; m = C.bpf_object__next_map(o.ptr, m) {
		all = append(all, &Map{ptr: m})
	}
	return all
}
