package device

import (
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// Driver is what the driver of the interface is called (ethtool -i); empty: it doesn't say.
func (l Device) Driver() string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	info, err := unix.IoctlGetEthtoolDrvinfo(fd, l.Name)
	if err != nil {
		return ""
	}
	return unix.ByteSliceToString(info.Driver[:])
}

// What a page holds beside the packet, in native mode.
const (
	xdpHeadroom = 256 // XDP_PACKET_HEADROOM
	sharedInfo  = 320 // struct skb_shared_info
	ethHeader   = 14
)

// The buffers of drivers with a limit of their own.
const (
	virtioHeader  = 12   // struct virtio_net_hdr_mrg_rxbuf, before the packet
	vmxnet3Buffer = 3072 // VMXNET3_MAX_SKB_BUF_SIZE: the rest of a packet is in a second one
	vethLimit     = 3498 // a veth refuses some MTU above, which depends on its other end
)

// SingleBuffer is what a driver gives to a native program without frags support, which gets
// packets of one buffer alone.
type SingleBuffer struct {
	MTU   int  // the largest whose packets fit
	Drops bool // at a larger one the driver keeps such a program, and drops what doesn't fit
	Stays bool // it goes on dropping that without the program, until the driver is loaded anew
}

// SingleBuffer knows virtio_net and vmxnet3 from measurements, which test/drivers makes anew, and
// veth and tun from their sources. Of other drivers it is known that a packet has to fit into a
// page. Where they refuse the MTU, or the program, nobody comes to ask.
func (l Device) SingleBuffer() SingleBuffer {
	page := os.Getpagesize() - xdpHeadroom - sharedInfo - ethHeader
	if l.Mtu <= min(page-virtioHeader, vmxnet3Buffer-ethHeader, vethLimit) {
		return SingleBuffer{MTU: l.Mtu} // whatever the driver is, which takes a system call to know
	}
	switch l.Driver() {
	case "veth":
		return SingleBuffer{MTU: vethLimit}
	case "tun": // it runs a program on larger packets as skb mode does
		return SingleBuffer{MTU: math.MaxInt}
	case "virtio_net":
		return SingleBuffer{MTU: page - virtioHeader, Drops: true}
	case "vmxnet3":
		return SingleBuffer{MTU: vmxnet3Buffer - ethHeader, Drops: true, Stays: true}
	}
	return SingleBuffer{MTU: page, Drops: true}
}
