package dispatcher

import "golang.org/x/sys/unix"

// membarrierGlobal (MEMBARRIER_CMD_GLOBAL) returns after an RCU grace period.
const membarrierGlobal = 1

// waitForPackets returns when no packet is under way in a dispatcher any more that
// was taken from an interface before the call. The kernel swaps dispatchers
// without such a wait, and unlinking a program then takes it from the packets that
// are still inside: they would pass a filter unseen.
func waitForPackets() {
	// It fails only on kernels with isolated processors (nohz_full), where nothing
	// else is offered to wait with.
	unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0)
}
