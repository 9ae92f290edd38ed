package dispatcher

import (
	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/cgo/libxdp"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// What follows is of the process that uses this package, and of no chain.

// SetLog sends what libbpf and libxdp have to say to sink: messages of the given
// levels and more important ones. Both are silent without it, and with a nil
// sink again.
func SetLog(libbpfMax, libxdpMax xdp.LogLevel, sink xdp.LogFunc) {
	native.SetLog(libbpfMax, libxdpMax, sink)
}

// LibxdpVersion is the version of the libxdp that the binary was built against, such as
// "1.3.1". Where it was built without the Makefile, it is the series of the libxdp that is
// in use, such as "1.3".
func LibxdpVersion() string { return libxdp.Version() }

// LibbpfVersion is the version of the libbpf that is in use, such as "1.1".
func LibbpfVersion() string { return libbpf.Version() }

// MoreRights says whether the process was started with more rights than its caller has, by
// a set-user-ID bit or file capabilities (AT_SECURE of getauxval(3)). What the caller
// controls, such as the environment, isn't to be trusted then.
func MoreRights() bool { return privilege.MoreRights() }

// EnterNetns moves the calling thread into a network namespace. name is one of ip netns, or
// the path of a namespace's file. Mounts stay those of the caller: the bpffs is the same
// inside. The goroutine has to be locked to its thread. moved says whether the thread was in
// another namespace before. Errors: [xdp.ErrInvalid], [xdp.ErrPermission].
func EnterNetns(name string) (moved bool, err error) { return device.Enter(name) }

// InterfaceByIndex is the interface of the calling thread's network namespace that has that
// index, whatever it is called. Errors: [xdp.ErrNoInterface].
func InterfaceByIndex(index int) (xdp.Interface, error) { return device.InterfaceByIndex(index) }
