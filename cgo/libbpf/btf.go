package libbpf

/*
#include "shim.h"
*/
import "C"

// BTF is type information of an object or of something loaded.
type BTF struct {
	ptr      *C.struct_btf
	borrowed bool
}

// LoadBTF reads type information from the kernel. It stands for
// btf__load_from_kernel_by_id.
func LoadBTF(id uint32) (*BTF, error) {
	ptr, err := C.btf__load_from_kernel_by_id(C.__u32(id))
	if err := checkPtr("btf__load_from_kernel_by_id", ptr == nil, err); err != nil {
		return nil, err
	}
	return &BTF{ptr: ptr}, nil
}

// Close stands for btf__free.
func (b *BTF) Close() error {
	if b != nil && b.ptr != nil && !b.borrowed {
		C.btf__free(b.ptr)
		b.ptr = nil
	}
	return nil
}

// Find is the id of the type with that name and kind. ENOENT: there is none. It
// stands for btf__find_by_name_kind.
func (b *BTF) Find(name string, kind Kind) (uint32, error) {
	n := C.CString(name)
	defer freeString(n)
	id := C.btf__find_by_name_kind(b.ptr, n, C.__u32(kind))
	return uint32(max(id, 0)), check("btf__find_by_name_kind", C.int(id))
}

// TypeName is the name of a type; empty for one without, or for an id that isn't
// there. It stands for btf__type_by_id and btf__name_by_offset.
func (b *BTF) TypeName(id uint32) string {
	t := C.btf__type_by_id(b.ptr, C.__u32(id))
	if t == nil {
		return ""
	}
	return C.GoString(C.btf__name_by_offset(b.ptr, t.name_off))
}

// Uint is the number that the variable of that id was declared for by __uint of
// bpf_helpers.h: the length of the array that it points to. ENOENT: it wasn't.
func (b *BTF) Uint(id uint32) (uint32, error) {
	n := C.xm_btf_uint(b.ptr, C.__u32(id))
	return uint32(max(n, 0)), check("btf__type_by_id", n)
}
