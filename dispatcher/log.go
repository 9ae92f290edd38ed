package dispatcher

import (
	"strings"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/cgo/libxdp"
)

// logState is guarded by libxdpLock.
var logState struct {
	libbpf, libxdp LogLevel
	sink           LogFunc
}

// setLog stands for SetLog of package dispatcher.
func setLog(libbpfMax, libxdpMax LogLevel, sink LogFunc) {
	libxdpLock.Lock()
	defer libxdpLock.Unlock()
	logState.libbpf, logState.libxdp, logState.sink = libbpfMax, libxdpMax, sink
	hook(nil)
}

// hook points both libraries at the user's sink and at the recorder.
func hook(record func(library string, level LogLevel, text string)) {
	set := func(library string, max LogLevel, recordMax LogLevel, to func(libbpf.LogLevel, libbpf.Sink)) {
		sink := logState.sink
		if sink == nil && record == nil {
			to(0, nil)
			return
		}
		effective := recordMax
		if record == nil || sink != nil && max > recordMax {
			effective = max
		}
		to(libbpf.LogLevel(effective), func(level libbpf.LogLevel, text string) {
			text = strings.TrimRight(text, "\n")
			if record != nil && LogLevel(level) <= recordMax {
				record(library, LogLevel(level), text)
			}
			if sink != nil && LogLevel(level) <= max {
				sink(library, LogLevel(level), text)
			}
		})
	}
	set("libbpf", logState.libbpf, LogWarn, libbpf.SetLog)
	set("libxdp", logState.libxdp, LogDebug, libxdp.SetLog)
}

// kernelWords is how libbpf introduces what the kernel says to a netlink request
// that it refuses, which may be a driver's own reason.
const kernelWords = "libbpf: Kernel error message: "

// recorded runs f with libxdpLock held and returns what libxdp and, through
// libbpf, the kernel said meanwhile: where an errno is one for many faults, words
// tell them apart.
func recorded(f func() error) (said []string, err error) {
	libxdpLock.Lock()
	defer libxdpLock.Unlock()
	hook(func(library string, _ LogLevel, text string) {
		if library == "libxdp" || strings.HasPrefix(text, kernelWords) {
			said = append(said, text)
		}
	})
	defer hook(nil)
	err = f()
	return said, err
}
