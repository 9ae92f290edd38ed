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

// BuildVersion is the version of the libxdp that the binary was built against, such as
// "1.3.1". Who builds the binary sets it, as xdpmux's Makefile does from pkg-config:
//
//	go build -ldflags "-X github.com/xdpmux/xdpmux/cgo/libxdp.BuildVersion=$(pkg-config --modversion libxdp)"
var BuildVersion string

// ObjectDir is where that libxdp looks for BPF objects if it is the shared one, and is set
// likewise. The static library has them built in, and looks nowhere.
var ObjectDir string

// Version is BuildVersion. Where nobody has set it, it is the series of the libxdp in use,
// such as "1.3", by the functions that it has: libxdp has none that tells its version. The
// newest series that is known is 1.6.
func Version() string {
	switch {
	case BuildVersion != "":
		return BuildVersion
	case bool(C.xm_has_dev_bound()):
		return "1.6"
	case bool(C.xm_has_socket_opts()):
		return "1.5"
	case bool(C.xm_has_umem_with_fd()):
		return "1.4"
	}
	return "1.3"
}

// AttachMode is how a program is attached (enum xdp_attach_mode).
type AttachMode int

// The modes. ModeUnspec is native where the driver knows that, and else SKB.
const (
	ModeUnspec AttachMode = C.XDP_MODE_UNSPEC
	ModeNative AttachMode = C.XDP_MODE_NATIVE
	ModeSKB    AttachMode = C.XDP_MODE_SKB
	ModeHW     AttachMode = C.XDP_MODE_HW
)

// CleanReferences removes the pins of dispatchers that are no longer on their interface:
// those of one interface, or of all with ifindex 0. It stands for libxdp_clean_references.
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

// Strerror is libxdp's text of an errno, its own numbers included. It stands for
// libxdp_strerror.
func Strerror(errno syscall.Errno) string {
	var buf [128]C.char
	C.libxdp_strerror(C.int(errno), &buf[0], C.size_t(len(buf)))
	return C.GoString(&buf[0])
}
