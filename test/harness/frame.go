package harness

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// Flow says what a frame is to hold. Every zero value stands for something usable:
// fixed addresses of the documentation ranges, ports 10000 and 20000, and a payload
// of zero bytes.
type Flow struct {
	SrcMAC, DstMAC   net.HardwareAddr // default 02:00:00:00:00:01 and ...:02
	VLAN             []uint16         // VLAN ids, outermost first: 802.1ad, then 802.1Q
	Src, Dst         netip.Addr       // default 192.0.2.1 and .2, 2001:db8::1 and ::2
	SrcPort, DstPort uint16
	Payload          []byte
	PayloadLen       int // zero bytes to fill the payload up to this length
}

const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherIPv6 = 0x86dd
	ether8021 = 0x8100
	etherQinQ = 0x88a8
	protoTCP  = 6
	protoUDP  = 17
)

// UDP4 is an IPv4 UDP frame, with correct lengths and checksums.
func UDP4(f Flow) []byte { return f.ethernet(etherIPv4, f.ip(false, protoUDP)) }

// TCP4 is an IPv4 TCP SYN frame.
func TCP4(f Flow) []byte { return f.ethernet(etherIPv4, f.ip(false, protoTCP)) }

// UDP6 is an IPv6 UDP frame.
func UDP6(f Flow) []byte { return f.ethernet(etherIPv6, f.ip(true, protoUDP)) }

// TCP6 is an IPv6 TCP SYN frame.
func TCP6(f Flow) []byte { return f.ethernet(etherIPv6, f.ip(true, protoTCP)) }

// ARP is a request of Src for the hardware address of Dst.
func ARP(f Flow) []byte {
	src, dst := f.addresses(false)
	b := []byte{0, 1, 8, 0, 6, 4, 0, 1} // Ethernet, IPv4, lengths, request
	b = append(b, mac(f.SrcMAC, 1)...)
	b = append(b, src.AsSlice()...)
	b = append(b, make([]byte, 6)...)
	b = append(b, dst.AsSlice()...)
	return f.ethernet(etherARP, b)
}

func mac(given net.HardwareAddr, last byte) net.HardwareAddr {
	if given != nil {
		return given
	}
	return net.HardwareAddr{2, 0, 0, 0, 0, last}
}

func (f Flow) addresses(v6 bool) (src, dst netip.Addr) {
	src, dst = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	if v6 {
		src, dst = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	}
	if f.Src.IsValid() {
		src = f.Src
	}
	if f.Dst.IsValid() {
		dst = f.Dst
	}
	if src.Is6() != v6 || dst.Is6() != v6 {
		panic("kernel: address " + src.String() + " or " + dst.String() + " is of the other family")
	}
	return src, dst
}

func (f Flow) ethernet(etherType uint16, body []byte) []byte {
	b := append(append([]byte(nil), mac(f.DstMAC, 2)...), mac(f.SrcMAC, 1)...)
	for i, id := range f.VLAN {
		tpid := uint16(etherQinQ)
		if i == len(f.VLAN)-1 {
			tpid = ether8021
		}
		b = binary.BigEndian.AppendUint16(b, tpid)
		b = binary.BigEndian.AppendUint16(b, id)
	}
	b = binary.BigEndian.AppendUint16(b, etherType)
	return append(b, body...)
}

func (f Flow) ip(v6 bool, proto byte) []byte {
	src, dst := f.addresses(v6)
	body := f.transport(proto)
	// The pseudo header that the checksum covers: RFC 768, 9293, 8200.
	pseudo := append(src.AsSlice(), dst.AsSlice()...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(body)))
	pseudo = append(pseudo, 0, 0, 0, proto)
	at := 6
	if proto == protoTCP {
		at = 16
	}
	sum := checksum(pseudo, body)
	if proto == protoUDP && sum == 0 {
		sum = 0xffff // in UDP, 0 says that there is none
	}
	binary.BigEndian.PutUint16(body[at:], sum)

	if v6 {
		b := []byte{0x60, 0, 0, 0}
		b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
		b = append(b, proto, 64)
		b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
		return append(b, body...)
	}
	b := []byte{0x45, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(20+len(body)))
	b = append(b, 0, 0, 0x40, 0, 64, proto, 0, 0) // id 0, don't fragment, TTL 64
	b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
	binary.BigEndian.PutUint16(b[10:], checksum(b))
	return append(b, body...)
}

// transport is header and payload, with a checksum of 0.
func (f Flow) transport(proto byte) []byte {
	payload := append([]byte(nil), f.Payload...)
	if missing := f.PayloadLen - len(payload); missing > 0 {
		payload = append(payload, make([]byte, missing)...)
	}
	srcPort, dstPort := f.SrcPort, f.DstPort
	if srcPort == 0 {
		srcPort = 10000
	}
	if dstPort == 0 {
		dstPort = 20000
	}
	b := binary.BigEndian.AppendUint16(nil, srcPort)
	b = binary.BigEndian.AppendUint16(b, dstPort)
	if proto == protoUDP {
		b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
		b = append(b, 0, 0)
	} else {
		b = append(b, 0, 0, 0, 1, 0, 0, 0, 0) // sequence 1, acknowledges nothing
		b = append(b, 5<<4, 0x02, 0xff, 0xff) // 20 bytes, SYN, window
		b = append(b, 0, 0, 0, 0)
	}
	return append(b, payload...)
}

// checksum is that of RFC 1071 over all parts as one; each but the last has to be
// of even length.
func checksum(parts ...[]byte) uint16 {
	var sum uint32
	for _, p := range parts {
		for len(p) >= 2 {
			sum += uint32(binary.BigEndian.Uint16(p))
			p = p[2:]
		}
		if len(p) == 1 {
			sum += uint32(p[0]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
