package libbpf

/*
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// Version is the version of the libbpf that this process runs with, such as
// "1.1". It stands for libbpf_major_version and libbpf_minor_version.
func Version() string {
	return fmt.Sprintf("%d.%d", C.libbpf_major_version(), C.libbpf_minor_version())
}

// NumPossibleCPUs is the number of CPUs that the machine could have, and of the values that
// a per-CPU map has for each key. It stands for libbpf_num_possible_cpus.
func NumPossibleCPUs() (int, error) {
	n := C.libbpf_num_possible_cpus()
	if n < 0 {
		return 0, check("libbpf_num_possible_cpus", n)
	}
	return int(n), nil
}

// cString copies s to C memory; an empty string becomes NULL, as libbpf's
// optional strings want it. The caller frees it with freeString.
func cString(s string) *C.char {
	if s == "" {
		return nil
	}
	return C.CString(s)
}

func freeString(s *C.char) { C.free(unsafe.Pointer(s)) }

// bytesPtr is the address of b's first byte. It is NULL for an empty slice: the kernel
// refuses an address without a length.
func bytesPtr(b []byte) unsafe.Pointer {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Pointer(&b[0])
}
