// Package guest is what a test of this module commands on a node in a VM. The node calls the test, so
// that nobody needs to find the VM, and serves JSON-RPC on that connection as "Node".
package guest

// The node's interfaces. Packets come to the first one.
const (
	Interface = "xm0a"
	Quiet     = "xm1a"
)

// Packets are what was counted since the node was booted. Of two numbers the first one is of plain
// packets, and the second one of marked packets: those that the guard of flood.bpf.c drops.
type Packets struct {
	Received             uint64 // that programs were run on
	Slipped              uint64 // marked ones that have come past the chain, and those before there was one
	Front, Guard, Behind [2]uint64
}
