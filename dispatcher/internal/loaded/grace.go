package loaded

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// WaitForPackets waits for the packets that are in a dispatcher which was taken from an
// interface before the call. The kernel doesn't wait for them when it swaps dispatchers. If a
// program were unlinked at once, the packets still inside would skip it, and pass a filter
// unseen.
func WaitForPackets() { waiting() }

// waiting is replaced where a test shows what happens without.
var waiting = wait

func wait() {
	if waitForPrograms() != nil {
		// The same wait, but the kernel refuses it where processors are isolated (nohz_full).
		unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0)
	}
}

// membarrierGlobal (MEMBARRIER_CMD_GLOBAL) returns after an RCU grace period.
const membarrierGlobal = 1

// waitForPrograms changes a map of maps. The kernel returns from that when every program run
// which might still see the old value has ended.
func waitForPrograms() error {
	inner, err := libbpf.CreateMap(libbpf.MapTypeArray, "xdpmux_wait", 4, 4, 1, 0)
	if err != nil {
		return err
	}
	defer inner.Close()
	outer, err := libbpf.CreateMapOfMaps("xdpmux_wait", inner, 1)
	if err != nil {
		return err
	}
	defer outer.Close()
	key, value := make([]byte, 4), binary.NativeEndian.AppendUint32(nil, uint32(inner.Int()))
	return libbpf.MapUpdate(outer.Int(), key, value, libbpf.UpdateAny)
}
