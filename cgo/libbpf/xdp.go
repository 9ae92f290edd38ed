package libbpf

/*
#include "shim.h"
*/
import "C"

// XDPFlags say how a program is put on an interface (XDP_FLAGS_).
type XDPFlags uint32

// The flags. At most one says the mode; without one, the kernel takes native where the
// driver knows it, and else SKB.
const (
	XDPUpdateIfNoExist XDPFlags = C.XDP_FLAGS_UPDATE_IF_NOEXIST // EBUSY where a program is there
	XDPSKB             XDPFlags = C.XDP_FLAGS_SKB_MODE
	XDPNative          XDPFlags = C.XDP_FLAGS_DRV_MODE
	XDPHardware        XDPFlags = C.XDP_FLAGS_HW_MODE
	XDPReplace         XDPFlags = C.XDP_FLAGS_REPLACE // EEXIST where another program is there than the old one that is named
)

// XDPAttached is how an interface has programs (XDP_ATTACHED_).
type XDPAttached uint8

// An interface has no program, one in the mode named, or several in different modes.
const (
	XDPAttachedNone     XDPAttached = C.XDP_ATTACHED_NONE
	XDPAttachedNative   XDPAttached = C.XDP_ATTACHED_DRV
	XDPAttachedSKB      XDPAttached = C.XDP_ATTACHED_SKB
	XDPAttachedHardware XDPAttached = C.XDP_ATTACHED_HW
	XDPAttachedMulti    XDPAttached = C.XDP_ATTACHED_MULTI
)

// XDPState is what the kernel says of an interface's programs
// (struct bpf_xdp_query_opts). An id of 0 stands for no program.
type XDPState struct {
	ProgID         uint32 // the program, where there is only one
	NativeProgID   uint32
	SKBProgID      uint32
	HardwareProgID uint32
	AttachMode     XDPAttached
}

// XDPQuery asks which programs an interface has. libbpf asks the kernel for all interfaces
// of the network namespace to answer. It stands for bpf_xdp_query.
func XDPQuery(ifindex int) (*XDPState, error) {
	var c C.struct_bpf_xdp_query_opts
	if err := check("bpf_xdp_query", C.xm_xdp_query(C.int(ifindex), &c)); err != nil {
		return nil, err
	}
	return &XDPState{
		ProgID:         uint32(c.prog_id),
		NativeProgID:   uint32(c.drv_prog_id),
		SKBProgID:      uint32(c.skb_prog_id),
		HardwareProgID: uint32(c.hw_prog_id),
		AttachMode:     XDPAttached(c.attach_mode),
	}, nil
}

// XDPAttach puts a program on an interface, in place of the one that is there. With a
// progFD of -1 it takes that away. oldFD names the old program for XDPReplace, and is -1
// without. It stands for bpf_xdp_attach.
func XDPAttach(ifindex, progFD int, flags XDPFlags, oldFD int) error {
	return check("bpf_xdp_attach", C.xm_xdp_attach(C.int(ifindex), C.int(progFD), C.__u32(flags), C.int(oldFD)))
}

// XDPFeatures asks what the interface's driver can do (bits NETDEV_XDP_ACT_ of
// linux/netdev.h), and how many buffers a packet may have with zero copy. The latter is 0
// before libbpf 1.3. [*UnsupportedError]: libbpf is older than 1.2. It stands for
// bpf_xdp_query.
func XDPFeatures(ifindex int) (features uint64, zcMaxSegs uint32, err error) {
	if C.xm_has_xdp_features() == 0 {
		return 0, 0, &UnsupportedError{Op: "bpf_xdp_query", Needs: "libbpf 1.2"}
	}
	var f C.__u64
	var segs C.__u32
	err = check("bpf_xdp_query", C.xm_xdp_features(C.int(ifindex), &f, &segs))
	return uint64(f), uint32(segs), err
}
