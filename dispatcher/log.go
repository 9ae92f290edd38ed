package dispatcher

import (
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/cgo/libxdp"
)

// logState is where messages go.
var logState struct {
	sync.RWMutex
	libbpf, libxdp LogLevel
	sink           LogFunc
	recorders      map[int]LogFunc // by the thread that made the call
}

// setLog stands for SetLog of package dispatcher.
func setLog(libbpfMax, libxdpMax LogLevel, sink LogFunc) {
	logState.Lock()
	defer logState.Unlock()
	logState.libbpf, logState.libxdp, logState.sink = libbpfMax, libxdpMax, sink
	hook()
}

// What is recorded of each library.
const recordLibbpf, recordLibxdp = LogWarn, LogDebug

// hook asks both libraries for what the user's sink and the recorders take. It is called
// with logState locked.
func hook() {
	set := func(library string, most, recordMost LogLevel, to func(libbpf.LogLevel, libbpf.Sink)) {
		if logState.sink == nil && len(logState.recorders) == 0 {
			to(0, nil)
			return
		}
		wanted := recordMost
		if len(logState.recorders) == 0 || logState.sink != nil && most > recordMost {
			wanted = most
		}
		to(libbpf.LogLevel(wanted), func(level libbpf.LogLevel, text string) {
			take(library, LogLevel(level), strings.TrimRight(text, "\n"))
		})
	}
	set("libbpf", logState.libbpf, recordLibbpf, libbpf.SetLog)
	set("libxdp", logState.libxdp, recordLibxdp, libxdp.SetLog)
}

// take gives a message to whoever wants it. A library says it on the thread that called
// it.
func take(library string, level LogLevel, text string) {
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

// kernelWords is how libbpf introduces what the kernel says to a netlink request
// that it refuses, which may be a driver's own reason.
const kernelWords = "libbpf: Kernel error message: "

// recorded runs f and returns what libxdp and, through libbpf, the kernel said on its
// thread meanwhile: where an errno is one for many faults, words tell them apart.
func recorded(f func() error) (said []string, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	thread := unix.Gettid()
	record := func(library string, _ LogLevel, text string) {
		if library == "libxdp" || strings.HasPrefix(text, kernelWords) {
			said = append(said, text)
		}
	}
	set := func(record LogFunc) {
		logState.Lock()
		defer logState.Unlock()
		if record == nil {
			delete(logState.recorders, thread)
		} else {
			if logState.recorders == nil {
				logState.recorders = map[int]LogFunc{}
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
