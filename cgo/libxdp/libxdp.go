package libxdp

/*
#include "shim.h"
*/
import "C"

import (
	"syscall"
	"unsafe"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// BuildVersion is the version of the libxdp that the binary was built against,
// set by the Makefile from pkg-config: libxdp itself has no call that tells.
var BuildVersion = "unknown"

// ObjectDir is where that libxdp looks for BPF objects if it is the shared one,
// set likewise. The static library has them built in, and looks nowhere.
var ObjectDir string

// AttachMode is how a program is attached (enum xdp_attach_mode).
type AttachMode int

// The modes. ModeUnspec leaves the choice to the kernel.
const (
	ModeUnspec AttachMode = C.XDP_MODE_UNSPEC
	ModeNative AttachMode = C.XDP_MODE_NATIVE
	ModeSKB    AttachMode = C.XDP_MODE_SKB
	ModeHW     AttachMode = C.XDP_MODE_HW
)

// CleanReferences unlinks pins of dispatchers that are on no interface: those of
// one interface, or of all with ifindex 0. It stands for
// libxdp_clean_references.
func CleanReferences(ifindex int) error {
	return check("libxdp_clean_references", C.libxdp_clean_references(C.int(ifindex)))
}

// check turns libxdp's "0 or more, or a negative errno" into an error.
func check(op string, ret C.int) error {
	if ret >= 0 {
		return nil
	}
	return &libbpf.Error{Op: op, Errno: syscall.Errno(-ret)}
}

func cString(s string) *C.char {
	if s == "" {
		return nil
	}
	return C.CString(s)
}

func freeString(s *C.char) { C.free(unsafe.Pointer(s)) }

// Strerror is libxdp's text of an errno. It stands for libxdp_strerror.
func Strerror(errno syscall.Errno) string {
	var buf [128]C.char
	C.libxdp_strerror(C.int(errno), &buf[0], C.size_t(len(buf)))
	return C.GoString(&buf[0])
}
