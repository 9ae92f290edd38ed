package libbpf

/*
#include "shim.h"
*/
import "C"

import "sync/atomic"

// LogLevel is the importance of a message (enum libbpf_print_level).
type LogLevel int

// The levels, the most important first.
const (
	LogWarn  LogLevel = C.LIBBPF_WARN
	LogInfo  LogLevel = C.LIBBPF_INFO
	LogDebug LogLevel = C.LIBBPF_DEBUG
)

// Sink takes the messages of libbpf. A text ends in a newline, as libbpf wrote it. Any
// goroutine that calls this package may call it.
type Sink func(level LogLevel, text string)

var sink atomic.Pointer[Sink]

func init() { C.xm_libbpf_hook() }

// SetLog sends libbpf's messages of max and more important ones to s. A nil
// sink, which is how a process starts, makes libbpf silent. It stands for
// libbpf_set_print.
func SetLog(max LogLevel, s Sink) {
	if s == nil {
		C.xm_libbpf_set_level(-1)
		sink.Store(nil)
		return
	}
	sink.Store(&s)
	C.xm_libbpf_set_level(C.int(max))
}

//export xdpmuxLibbpfLog
func xdpmuxLibbpfLog(level C.int, text *C.char) {
	if s := sink.Load(); s != nil {
		(*s)(LogLevel(level), C.GoString(text))
	}
}
