package check

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Feature is something that a driver can do for XDP, or a set of such things. It has the kernel's
// bits (enum netdev_xdp_act).
type Feature uint64

// What a driver can do.
const (
	FeatureBasic       Feature = 1 << iota // runs programs that abort, drop, pass and send back
	FeatureRedirect                        // takes XDP_REDIRECT from its programs
	FeatureNdoXmit                         // sends what programs of other interfaces redirect to it
	FeatureXSKZeroCopy                     // gives packets to AF_XDP sockets without a copy
	FeatureHWOffload                       // runs programs on the device
	FeatureRxSG                            // gives packets of several buffers to programs
	FeatureNdoXmitSG                       // sends such packets that are redirected to it
)

// FeatureNames are the kernel's names of the features, bit 0 first, without the
// prefix NETDEV_XDP_ACT_.
func FeatureNames() []string {
	return []string{"BASIC", "REDIRECT", "NDO_XMIT", "XSK_ZEROCOPY", "HW_OFFLOAD", "RX_SG", "NDO_XMIT_SG"}
}

// Metadata is something of packets that a driver tells to programs which are bound to it, or a set
// of such things. It has the kernel's bits (enum netdev_xdp_rx_metadata).
type Metadata uint64

// What a driver can tell.
const (
	MetadataTimestamp Metadata = 1 << iota // bpf_xdp_metadata_rx_timestamp
	MetadataHash                           // bpf_xdp_metadata_rx_hash
	MetadataVLANTag                        // bpf_xdp_metadata_rx_vlan_tag
)

// MetadataNames are the kernel's names of it, bit 0 first, without the prefix
// NETDEV_XDP_RX_METADATA_.
func MetadataNames() []string { return []string{"TIMESTAMP", "HASH", "VLAN_TAG"} }

// Has says whether all of g is in the set.
func (m Metadata) Has(g Metadata) bool { return m&g == g }

// Has says whether all features of g are in the set.
func (f Feature) Has(g Feature) bool { return f&g == g }

// Features is what the driver of an interface can do.
type Features struct {
	Interface xdp.Interface
	XDP       Feature // the set of them
	ZCMaxSegs uint32  // buffers of a zero-copy AF_XDP packet; 0 if the kernel doesn't say

	RxMetadata *Metadata // what it tells of the packets that it receives; nil if the kernel is older than 6.7, which doesn't say
}

// QueryFeatures asks the kernel what the driver of an interface can do. It asks the netdev generic
// netlink family itself, because libbpf's bpf_xdp_query does so only from 1.2 on.
//
// Errors: [xdp.ErrNoInterface]; [xdp.ErrKernel] if the kernel is older than 6.3, which can't tell.
func QueryFeatures(ctx context.Context, ifname string) (*Features, error) {
	l, err := device.ByName(ifname)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := l.XDPFeatures()
	if errors.Is(err, syscall.ENOENT) {
		return nil, &xdp.Error{Kind: xdp.ErrKernel,
			Msg:    "this kernel can't tell the XDP features of a driver",
			Remedy: "it takes Linux 6.3 or newer; what a driver can't do shows when a program is loaded", Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("the XDP features of %s: %w", ifname, err)
	}
	all := &Features{Interface: l.Interface, XDP: Feature(f.Bits), ZCMaxSegs: f.ZCMaxSegs}
	if m := Metadata(f.RxMetadata); f.TellsRxMetadata {
		all.RxMetadata = &m
	}
	return all, nil
}
