package libbpf

/*
#include "shim.h"
*/
import "C"

// BTF is type information of an object, or of a program or map in the kernel.
type BTF struct {
	ptr      *C.struct_btf
	borrowed bool
}

// LoadBTF reads type information from the kernel, by the id that [ProgInfo] and [MapInfo]
// have. It stands for btf__load_from_kernel_by_id.
func LoadBTF(id uint32) (*BTF, error) {
	ptr, err := C.btf__load_from_kernel_by_id(C.__u32(id))
	if err := checkPtr("btf__load_from_kernel_by_id", ptr == nil, err); err != nil {
		return nil, err
	}
	return &BTF{ptr: ptr}, nil
}

// LoadVmlinuxBTF reads the kernel's own type information, from /sys/kernel/btf/vmlinux or the files
// of the kernel. It stands for btf__load_vmlinux_btf.
func LoadVmlinuxBTF() (*BTF, error) {
	ptr, err := C.btf__load_vmlinux_btf()
	if err := checkPtr("btf__load_vmlinux_btf", ptr == nil, err); err != nil {
		return nil, err
	}
	return &BTF{ptr: ptr}, nil
}

// Close frees what [LoadBTF] and LoadVmlinuxBTF returned, and does nothing to the BTF of an object. It stands
// for btf__free.
func (b *BTF) Close() error {
	if b != nil && b.ptr != nil && !b.borrowed {
		C.btf__free(b.ptr)
		b.ptr = nil
	}
	return nil
}

// Find is the id of the first type with that name and kind. ENOENT: there is none. It
// stands for btf__find_by_name_kind.
func (b *BTF) Find(name string, kind Kind) (uint32, error) {
	n := C.CString(name)
	defer freeString(n)
	id := C.btf__find_by_name_kind(b.ptr, n, C.__u32(kind))
	return uint32(max(id, 0)), check("btf__find_by_name_kind", C.int(id))
}

// TypeName is the name of the type with that id. It is empty for a type without a name and
// where there is no such id. It stands for btf__type_by_id and btf__name_by_offset.
func (b *BTF) TypeName(id uint32) string {
	t := C.btf__type_by_id(b.ptr, C.__u32(id))
	if t == nil {
		return ""
	}
	return C.GoString(C.btf__name_by_offset(b.ptr, t.name_off))
}
