package device

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// XDPFeatures is what the driver of an interface can do for XDP.
type XDPFeatures struct {
	Bits      uint64 // enum netdev_xdp_act
	ZCMaxSegs uint32 // buffers of a zero-copy AF_XDP packet; 0: the kernel doesn't say

	RxMetadata      uint64 // enum netdev_xdp_rx_metadata
	TellsRxMetadata bool   // false: the kernel is older than 6.7, which doesn't say
}

// Basic says that the driver runs programs (NETDEV_XDP_ACT_BASIC).
func (f XDPFeatures) Basic() bool { return f.Bits&1 != 0 }

// RxSG says that the driver hands packets of several buffers to programs (NETDEV_XDP_ACT_RX_SG).
func (f XDPFeatures) RxSG() bool { return f.Bits&(1<<5) != 0 }

// MetadataFunctions are those by which a program asks for what RxMetadata has a bit for, bit 0 first.
var MetadataFunctions = []string{"bpf_xdp_metadata_rx_timestamp", "bpf_xdp_metadata_rx_hash", "bpf_xdp_metadata_rx_vlan_tag"}

// Untold are those of the functions that the driver has no answer to, as far as the kernel says.
func (f XDPFeatures) Untold(functions []string) (untold []string) {
	for bit, name := range MetadataFunctions {
		if f.TellsRxMetadata && f.RxMetadata&(1<<bit) == 0 && slices.Contains(functions, name) {
			untold = append(untold, name)
		}
	}
	return untold
}

// XDPFeatures asks the netdev family (linux/netdev.h). The error is ENOENT on kernels before 6.3,
// which can't tell.
func (l Device) XDPFeatures() (f XDPFeatures, err error) {
	const command, ifindex, features, zcMaxSegs, rxMetadata = 1, 1, 3, 4, 5
	err = ask("netdev", command, nl.NewRtAttr(ifindex, nl.Uint32Attr(uint32(l.Index))), func(kind uint16, value []byte) {
		switch {
		case kind == features && len(value) >= 8:
			f.Bits = binary.NativeEndian.Uint64(value)
		case kind == zcMaxSegs:
			f.ZCMaxSegs = attrUint32(value)
		case kind == rxMetadata && len(value) >= 8:
			f.RxMetadata, f.TellsRxMetadata = binary.NativeEndian.Uint64(value), true
		}
	})
	return f, err
}

// Queues are how many queues an interface has, and can have at most (ethtool -l). Combined ones
// receive and send.
type Queues struct {
	Rx, Tx, Combined          int
	MaxRx, MaxTx, MaxCombined int
}

// Queues asks the ethtool family (linux/ethtool_netlink.h). The error is EOPNOTSUPP for a driver
// that doesn't tell.
func (l Device) Queues() (q Queues, err error) {
	const command, header, headerIndex = 17, 1, 1
	of := nl.NewRtAttr(header|unix.NLA_F_NESTED, nil)
	of.AddRtAttr(headerIndex, nl.Uint32Attr(uint32(l.Index)))
	counts := map[uint16]*int{2: &q.MaxRx, 3: &q.MaxTx, 5: &q.MaxCombined, 6: &q.Rx, 7: &q.Tx, 9: &q.Combined}
	err = ask("ethtool", command, of, func(kind uint16, value []byte) {
		if count, ok := counts[kind]; ok {
			*count = int(attrUint32(value))
		}
	})
	return q, err
}

// ask sends a command with one attribute to a generic netlink family, and gives each attribute of
// the answer to f.
func ask(name string, command uint8, about nl.NetlinkRequestData, f func(kind uint16, value []byte)) error {
	family, err := netlink.GenlFamilyGet(name)
	if err != nil {
		return fmt.Errorf("look up the %s netlink family: %w", name, err)
	}
	req := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_ACK)
	req.AddData(genlHeader{command, 1})
	req.AddData(about)
	msgs, err := req.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return fmt.Errorf("ask the %s netlink family: %w", name, err)
	}
	for _, msg := range msgs {
		if len(msg) < nl.SizeofGenlmsg {
			return fmt.Errorf("short answer of the %s netlink family", name)
		}
		eachAttr(msg[nl.SizeofGenlmsg:], f)
	}
	return nil
}

// genlHeader is a generic netlink header: command, version, and two reserved bytes,
// which the kernel wants to be zero and nl.Genlmsg fills with what lies behind it.
type genlHeader [nl.SizeofGenlmsg]byte

func (h genlHeader) Len() int { return len(h) }

func (h genlHeader) Serialize() []byte { return h[:] }
