package libxdp

/*
#include "shim.h"
*/
import "C"

import (
	"sync/atomic"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// libxdp promises that its levels (enum libxdp_print_level) are libbpf's: one type Sink
// serves both.
var sink atomic.Pointer[libbpf.Sink]

func init() { C.xm_libxdp_hook() }

// SetLog sends libxdp's messages of max and more important ones to s. A nil
// sink, which is how a process starts, makes libxdp silent. It stands for
// libxdp_set_print.
func SetLog(max libbpf.LogLevel, s libbpf.Sink) {
	if s == nil {
		C.xm_libxdp_set_level(-1)
		sink.Store(nil)
		return
	}
	sink.Store(&s)
	C.xm_libxdp_set_level(C.int(max))
}

//export xdpmuxLibxdpLog
func xdpmuxLibxdpLog(level C.int, text *C.char) {
	if s := sink.Load(); s != nil {
		(*s)(libbpf.LogLevel(level), C.GoString(text))
	}
}
