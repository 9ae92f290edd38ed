package loaded

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// WaitForPackets returns when no packet is under way in a dispatcher any more that
// was taken from an interface before the call. The kernel swaps dispatchers
// without such a wait, and unlinking a program then takes it from the packets that
// are still inside: they would pass a filter unseen.
func WaitForPackets() { waiting() }

// waiting is replaced where a test shows what happens without.
var waiting = wait

func wait() {
	if waitForPrograms() != nil {
		// The same wait, but refused where processors are isolated (nohz_full).
		unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0)
	}
}

// membarrierGlobal (MEMBARRIER_CMD_GLOBAL) returns after an RCU grace period.
const membarrierGlobal = 1

// waitForPrograms changes a map of maps: that returns when every program which might
// still see the old value has ended.
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
