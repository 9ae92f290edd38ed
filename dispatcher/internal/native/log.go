package native

import (
	"errors"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/cgo/libxdp"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// logState is where messages go.
var logState struct {
	sync.RWMutex
	libbpf, libxdp xdp.LogLevel
	sink           xdp.LogFunc
	recorders      map[int]xdp.LogFunc // by the thread that made the call
}

// SetLog stands for SetLog of package dispatcher.
func SetLog(libbpfMax, libxdpMax xdp.LogLevel, sink xdp.LogFunc) {
	logState.Lock()
	defer logState.Unlock()
	logState.libbpf, logState.libxdp, logState.sink = libbpfMax, libxdpMax, sink
	hook()
}

// What is recorded of each library.
const recordLibbpf, recordLibxdp = xdp.LogWarn, xdp.LogDebug

// hook asks both libraries for what the user's sink and the recorders take. It is called
// with logState locked.
func hook() {
	set := func(library string, most, recordMost xdp.LogLevel, to func(libbpf.LogLevel, libbpf.Sink)) {
		if logState.sink == nil && len(logState.recorders) == 0 {
			to(0, nil)
			return
		}
		wanted := recordMost
		if len(logState.recorders) == 0 || logState.sink != nil && most > recordMost {
			wanted = most
		}
		to(libbpf.LogLevel(wanted), func(level libbpf.LogLevel, text string) {
			take(library, xdp.LogLevel(level), strings.TrimRight(text, "\n"))
		})
	}
	set("libbpf", logState.libbpf, recordLibbpf, libbpf.SetLog)
	set("libxdp", logState.libxdp, recordLibxdp, libxdp.SetLog)
}

// take gives a message to whoever wants it. A library says it on the thread of the call.
func take(library string, level xdp.LogLevel, text string) {
	logState.RLock()
	most, recordMost := logState.libxdp, recordLibxdp
	if library == "libbpf" {
		most, recordMost = logState.libbpf, recordLibbpf
	}
	sink, record := logState.sink, logState.recorders[unix.Gettid()]
	logState.RUnlock()
	if record != nil && level <= recordMost {
		record(library, level, text)
	}
	if sink != nil && level <= most {
		sink(library, level, text)
	}
}

// KernelWords is how libbpf introduces what the kernel says to a netlink request
// that it refuses, which may be a driver's own reason.
const KernelWords = "libbpf: Kernel error message: "

// Recorded runs f, and returns what libxdp and the kernel said on its thread meanwhile. libbpf
// prints the kernel's words. Where one errno stands for many faults, words tell them apart.
func Recorded(f func() error) (said []string, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	thread := unix.Gettid()
	record := func(library string, _ xdp.LogLevel, text string) {
		if library == "libxdp" || strings.HasPrefix(text, KernelWords) {
			said = append(said, text)
		}
	}
	set := func(record xdp.LogFunc) {
		logState.Lock()
		defer logState.Unlock()
		if record == nil {
			delete(logState.recorders, thread)
		} else {
			if logState.recorders == nil {
				logState.recorders = map[int]xdp.LogFunc{}
			}
			logState.recorders[thread] = record
		}
		hook()
	}
	set(record)
	defer set(nil)
	err = f()
	return said, err
}

// Cause is the errno's text alone.
func Cause(err error) string {
	var e *libbpf.Error
	if errors.As(err, &e) {
		return libbpf.Strerror(e.Errno)
	}
	return err.Error()
}
