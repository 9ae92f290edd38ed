package main

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// The addresses of Ethernet frames that are made from words. They are of a kind that no card has.
var (
	wordsSrcMAC = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	wordsDstMAC = net.HardwareAddr{2, 0, 0, 0, 0, 2}
)

// packetWords are read one by one.
type packetWords struct{ rest []string }

// next is the next word, in small letters; empty: there is none.
func (w *packetWords) next() string {
	if len(w.rest) == 0 {
		return ""
	}
	word := w.rest[0]
	w.rest = w.rest[1:]
	return strings.ToLower(word)
}

func (w *packetWords) number(what string, limit uint64) (uint64, error) {
	word := w.next()
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil || n > limit {
		return 0, fmt.Errorf("%q is not a %s, which is from 0 to %d", word, what, limit)
	}
	return n, nil
}

// packetOf makes an Ethernet frame from words, such as "ipv4 udp 192.0.2.1:53 > 192.0.2.2:4000".
// They are those in which trace describes packets; docs/test.md has the grammar. Lengths and
// checksums are right.
func packetOf(words string) ([]byte, error) {
	w := &packetWords{strings.Fields(words)}
	ethernet := &layers.Ethernet{SrcMAC: wordsSrcMAC, DstMAC: wordsDstMAC}
	all := []gopacket.SerializableLayer{ethernet}
	typ := &ethernet.EthernetType
	word := w.next()
	for ; word == "vlan"; word = w.next() {
		id, err := w.number("VLAN's ID", 4095)
		if err != nil {
			return nil, err
		}
		tag := &layers.Dot1Q{VLANIdentifier: uint16(id)}
		*typ, typ, all = layers.EthernetTypeDot1Q, &tag.Type, append(all, tag)
	}
	var more []gopacket.SerializableLayer
	var err error
	length := 0
	switch word {
	case "arp":
		*typ = layers.EthernetTypeARP
		more, err = w.arp()
	case "ipv4":
		*typ = layers.EthernetTypeIPv4
		more, length, err = w.ip(false)
	case "ipv6":
		*typ = layers.EthernetTypeIPv6
		more, length, err = w.ip(true)
	default:
		err = fmt.Errorf("arp, ipv4 or ipv6 is wanted, and this is %q", word)
	}
	if err != nil {
		return nil, err
	}
	if len(w.rest) > 0 {
		return nil, fmt.Errorf("unknown word %q", w.rest[0])
	}
	return frameOf(append(all, more...), length)
}

// frameOf puts layers together. length is that of the frame; 0: as long as they are.
func frameOf(all []gopacket.SerializableLayer, length int) ([]byte, error) {
	b := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(b, options, all...); err != nil {
		return nil, err
	}
	missing := length - len(b.Bytes())
	switch {
	case length == 0 || missing == 0:
		return b.Bytes(), nil
	case missing < 0:
		return nil, fmt.Errorf("the packet has %d bytes, more than length %d", len(b.Bytes()), length)
	}
	// Again, as what is added may only have taken the place of Ethernet's own padding.
	return frameOf(append(all, gopacket.Payload(make([]byte, missing))), length)
}

func (w *packetWords) arp() ([]gopacket.SerializableLayer, error) {
	arp := &layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
		SourceHwAddress: wordsSrcMAC, DstHwAddress: make([]byte, 6)}
	switch word := w.next(); word {
	case "request":
		arp.Operation = layers.ARPRequest
	case "reply":
		arp.Operation, arp.DstHwAddress = layers.ARPReply, wordsDstMAC
	default:
		return nil, fmt.Errorf("request or reply is wanted, and this is %q", word)
	}
	src, dst, err := w.ends(false, false)
	arp.SourceProtAddress, arp.DstProtAddress = src.Addr().AsSlice(), dst.Addr().AsSlice()
	return []gopacket.SerializableLayer{arp}, err
}

func (w *packetWords) ip(v6 bool) (all []gopacket.SerializableLayer, length int, err error) {
	transport := ""
	if len(w.rest) > 0 && strings.Trim(strings.ToLower(w.rest[0]), "abcdefghijklmnopqrstuvwxyz0123456789") == "" {
		transport = w.next()
	}
	ports := transport == "tcp" || transport == "udp" || transport == "sctp"
	src, dst, err := w.ends(v6, ports)
	if err != nil {
		return nil, 0, err
	}
	said, err := w.options(transport)
	if err != nil {
		return nil, 0, err
	}
	var network interface {
		gopacket.NetworkLayer
		gopacket.SerializableLayer
	}
	var protocol *layers.IPProtocol
	if v6 {
		ip := &layers.IPv6{Version: 6, HopLimit: said.ttl, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		network, protocol = ip, &ip.NextHeader
	} else {
		ip := &layers.IPv4{Version: 4, TTL: said.ttl, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		network, protocol = ip, &ip.Protocol
	}
	all = []gopacket.SerializableLayer{network}
	switch transport {
	case "":
		*protocol = layers.IPProtocolNoNextHeader
	case "tcp":
		*protocol = layers.IPProtocolTCP
		f := said.flags
		tcp := &layers.TCP{SrcPort: layers.TCPPort(src.Port()), DstPort: layers.TCPPort(dst.Port()), Window: 65535,
			SYN: f["syn"], ACK: f["ack"], FIN: f["fin"], RST: f["rst"], PSH: f["psh"], URG: f["urg"]}
		err, all = tcp.SetNetworkLayerForChecksum(network), append(all, tcp)
	case "udp":
		*protocol = layers.IPProtocolUDP
		udp := &layers.UDP{SrcPort: layers.UDPPort(src.Port()), DstPort: layers.UDPPort(dst.Port())}
		err, all = udp.SetNetworkLayerForChecksum(network), append(all, udp)
	case "sctp":
		*protocol = layers.IPProtocolSCTP
		all = append(all, &layers.SCTP{SrcPort: layers.SCTPPort(src.Port()), DstPort: layers.SCTPPort(dst.Port())})
	case "icmp":
		*protocol = layers.IPProtocolICMPv4
		all = append(all, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0)})
	case "icmpv6":
		*protocol = layers.IPProtocolICMPv6
		icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeEchoRequest, 0)}
		err, all = icmp.SetNetworkLayerForChecksum(network), append(all, icmp)
	default:
		err = fmt.Errorf("tcp, udp, sctp, icmp or icmpv6 is wanted, and this is %q", transport)
	}
	return append(all, gopacket.Payload(said.payload)), said.length, err
}

// ends reads "SOURCE > DESTINATION".
func (w *packetWords) ends(v6, ports bool) (src, dst netip.AddrPort, err error) {
	if src, err = endOf(w.next(), v6, ports); err != nil {
		return src, dst, err
	}
	if word := w.next(); word != ">" {
		return src, dst, fmt.Errorf("> is wanted between the addresses, and this is %q", word)
	}
	dst, err = endOf(w.next(), v6, ports)
	return src, dst, err
}

func endOf(word string, v6, port bool) (end netip.AddrPort, err error) {
	family := "IPv4"
	if v6 {
		family = "IPv6"
	}
	if port {
		end, err = netip.ParseAddrPort(word)
		family += " address with a port"
	} else {
		var addr netip.Addr
		addr, err = netip.ParseAddr(word)
		end = netip.AddrPortFrom(addr, 0)
		family += " address"
	}
	if err != nil || end.Addr().Is4() == v6 || end.Addr().Zone() != "" {
		return end, fmt.Errorf("%q is not an %s", word, family)
	}
	return end, nil
}

// packetOptions are what may stand behind the addresses.
type packetOptions struct {
	ttl     uint8
	flags   map[string]bool
	payload []byte
	length  int
}

const tcpFlags = "syn, ack, fin, rst, psh, urg"

func (w *packetWords) options(transport string) (o packetOptions, err error) {
	o = packetOptions{ttl: 64, flags: map[string]bool{"syn": true}}
	var n uint64
	for err == nil && len(w.rest) > 0 {
		switch word := w.next(); {
		case word == "ttl":
			n, err = w.number("TTL", 255)
			o.ttl = uint8(n)
		case word == "length":
			n, err = w.number("length", 1<<16)
			o.length = int(n)
		case word == "payload":
			hexadecimal := w.next()
			if o.payload, err = hex.DecodeString(hexadecimal); err != nil {
				err = fmt.Errorf("payload %q: %w", hexadecimal, err)
			}
		case word == "flags" && transport == "tcp":
			clear(o.flags)
			for _, flag := range strings.Split(w.next(), ",") {
				if !strings.Contains(", "+tcpFlags+",", ", "+flag+",") {
					return o, fmt.Errorf("%q is not a flag of TCP: %s", flag, tcpFlags)
				}
				o.flags[flag] = true
			}
		default:
			err = fmt.Errorf("unknown word %q", word)
		}
	}
	return o, err
}
