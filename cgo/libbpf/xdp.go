package libbpf

/*
#include "shim.h"
*/
import "C"

// XDPFlags say how a program is put on an interface (XDP_FLAGS_).
type XDPFlags uint32

// The flags. With XDPReplace the attach only succeeds if the interface has the
// expected old program.
const (
	XDPUpdateIfNoExist XDPFlags = C.XDP_FLAGS_UPDATE_IF_NOEXIST
	XDPSKB             XDPFlags = C.XDP_FLAGS_SKB_MODE
	XDPNative          XDPFlags = C.XDP_FLAGS_DRV_MODE
	XDPHardware        XDPFlags = C.XDP_FLAGS_HW_MODE
	XDPReplace         XDPFlags = C.XDP_FLAGS_REPLACE
)

// XDPState is what the kernel says of an interface's programs
// (struct bpf_xdp_query_opts).
type XDPState struct {
	ProgID         uint32
	NativeProgID   uint32
	SKBProgID      uint32
	HardwareProgID uint32
	AttachMode     uint8 // XDP_ATTACHED_
}

// XDPQuery asks which programs an interface has. libbpf dumps all links of the
// network namespace to answer. It stands for bpf_xdp_query.
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
		AttachMode:     uint8(c.attach_mode),
	}, nil
}

// XDPAttach puts a program on an interface, or takes it away with a progFD of
// -1. oldFD is the program that must be there for XDPReplace; -1: none said. It
// stands for bpf_xdp_attach.
func XDPAttach(ifindex, progFD int, flags XDPFlags, oldFD int) error {
	return check("bpf_xdp_attach", C.xm_xdp_attach(C.int(ifindex), C.int(progFD), C.__u32(flags), C.int(oldFD)))
}

// XDPFeatures asks what the interface's driver can do (NETDEV_XDP_ACT_ bits) and
// how many buffers a zero-copy packet may have. It stands for bpf_xdp_query, and
// needs libbpf 1.2.
func XDPFeatures(ifindex int) (features uint64, zcMaxSegs uint32, err error) {
	if C.xm_has_xdp_features() == 0 {
		return 0, 0, &UnsupportedError{Op: "bpf_xdp_query", Needs: "libbpf 1.2"}
	}
	var f C.__u64
	var segs C.__u32
	err = check("bpf_xdp_query", C.xm_xdp_features(C.int(ifindex), &f, &segs))
	return uint64(f), uint32(segs), err
}
