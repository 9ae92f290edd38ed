package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/xdpmux/xdpmux/dispatcher/observe"
)

// dissector describes packets. It uses the same memory for each of them.
type dissector struct {
	decoders gopacket.DecodingLayerSparse
	words    []byte
	cut      bool
}

func newDissector() *dissector {
	d := &dissector{}
	for _, layer := range []gopacket.DecodingLayer{
		&layers.Ethernet{}, &layers.Dot1Q{}, &layers.ARP{}, &layers.IPv4{}, &layers.IPv6{}, &layers.IPv6ExtensionSkipper{},
		&layers.TCP{}, &layers.UDP{}, &layers.SCTP{}, &layers.ICMPv4{}, &layers.ICMPv6{},
	} {
		d.decoders = d.decoders.Put(layer).(gopacket.DecodingLayerSparse)
	}
	return d
}

// SetTruncated is called by a layer that goes on behind the packet's end.
func (d *dissector) SetTruncated() { d.cut = true }

// summary describes a packet in a few words, such as
// "VLAN 5 IPv4 TCP 192.0.2.1:10000 > 192.0.2.2:443". The result is good until the next call.
func (d *dissector) summary(data []byte) []byte {
	d.words, d.cut = d.words[:0], false
	var src, dst netip.Addr
	var mac *layers.Ethernet
	rest := data
	for typ := layers.LayerTypeEthernet; ; {
		decoder, known := d.decoders.Decoder(typ)
		if !known {
			break
		}
		if d.decode(decoder, rest) != nil {
			if d.cut {
				d.word("(cut off)")
			}
			break
		}
		switch l := decoder.(type) {
		case *layers.Ethernet:
			mac = l
		case *layers.Dot1Q:
			d.word("VLAN")
			d.number(int(l.VLANIdentifier))
		case *layers.ARP:
			d.word(arpSummary(l))
			src, dst = address(l.SourceProtAddress), address(l.DstProtAddress)
		case *layers.IPv4:
			d.word("IPv4")
			src, dst = address(l.SrcIP), address(l.DstIP)
			if l.FragOffset > 0 || l.Flags&layers.IPv4MoreFragments != 0 {
				d.fragment(l.Protocol, int(l.FragOffset))
			}
		case *layers.IPv6:
			d.word("IPv6")
			src, dst = address(l.SrcIP), address(l.DstIP)
		case *layers.IPv6ExtensionSkipper:
			if typ == layers.LayerTypeIPv6Fragment {
				d.fragment(l.NextHeader, int(binary.BigEndian.Uint16(l.Contents[2:])>>3))
				return d.ends(src, dst)
			}
		case *layers.TCP:
			d.word("TCP")
			return d.portEnds(src, dst, uint16(l.SrcPort), uint16(l.DstPort))
		case *layers.UDP:
			d.word("UDP")
			return d.portEnds(src, dst, uint16(l.SrcPort), uint16(l.DstPort))
		case *layers.SCTP:
			d.word("SCTP")
			return d.portEnds(src, dst, uint16(l.SrcPort), uint16(l.DstPort))
		case *layers.ICMPv4:
			d.word("ICMP")
			d.word(l.TypeCode.String())
		case *layers.ICMPv6:
			d.word("ICMPv6")
			d.word(l.TypeCode.String())
		}
		typ, rest = decoder.NextLayerType(), decoder.LayerPayload()
	}
	if src.IsValid() {
		return d.ends(src, dst)
	}
	if len(d.words) == 0 && len(data) >= observe.MinLen {
		d.words = fmt.Appendf(d.words, "Ethernet %#04x", binary.BigEndian.Uint16(data[12:]))
	}
	if mac != nil {
		d.word(mac.SrcMAC.String())
		d.word(">")
		d.word(mac.DstMAC.String())
	}
	return d.words
}

// decode makes an error of a panic, as gopacket itself does: a packet can be anything.
func (d *dissector) decode(layer gopacket.DecodingLayer, data []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return layer.DecodeFromBytes(data, d)
}

func (d *dissector) word(word string) {
	if len(d.words) > 0 {
		d.words = append(d.words, ' ')
	}
	d.words = append(d.words, word...)
}

func (d *dissector) number(n int) { d.words = strconv.AppendInt(append(d.words, ' '), int64(n), 10) }

// fragment says which part of a datagram the packet is; the offset is in units of 8
// bytes.
func (d *dissector) fragment(proto layers.IPProtocol, offset int) {
	d.word(proto.String())
	d.word("fragment at")
	d.number(offset * 8)
}

// ends finishes with the addresses.
func (d *dissector) ends(src, dst netip.Addr) []byte {
	d.words = src.AppendTo(append(d.words, ' '))
	d.words = dst.AppendTo(append(d.words, " > "...))
	return d.words
}

func (d *dissector) portEnds(src, dst netip.Addr, srcPort, dstPort uint16) []byte {
	d.words = netip.AddrPortFrom(src, srcPort).AppendTo(append(d.words, ' '))
	d.words = netip.AddrPortFrom(dst, dstPort).AppendTo(append(d.words, " > "...))
	return d.words
}

// address is the IP address that b holds. It is invalid if that is none, as in ARP for
// another protocol.
func address(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a
}

func arpSummary(l *layers.ARP) string {
	switch l.Operation {
	case layers.ARPRequest:
		return "ARP request"
	case layers.ARPReply:
		return "ARP reply"
	}
	return fmt.Sprint("ARP operation ", l.Operation)
}
