//go:build !lean

package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/xdpmux/xdpmux/dispatcher/observe"
)

// summary describes a packet in a few words, such as
// "VLAN 5 IPv4 TCP 192.0.2.1:10000 > 192.0.2.2:443".
func summary(data []byte) string {
	var words []string
	var mac gopacket.Flow
	var src, dst net.IP
	var srcPort, dstPort string
	p := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.DecodeOptions{NoCopy: true})
	for _, layer := range p.Layers() {
		switch l := layer.(type) {
		case *layers.Ethernet:
			mac = l.LinkFlow()
		case *layers.Dot1Q:
			words = append(words, "VLAN "+strconv.Itoa(int(l.VLANIdentifier)))
		case *layers.ARP:
			words = append(words, arpSummary(l))
			src, dst = l.SourceProtAddress, l.DstProtAddress
		case *layers.IPv4:
			words = append(words, "IPv4")
			src, dst = l.SrcIP, l.DstIP
			if l.FragOffset > 0 || l.Flags&layers.IPv4MoreFragments != 0 {
				words = append(words, l.Protocol.String(), fmt.Sprintf("fragment at %d", int(l.FragOffset)*8))
			}
		case *layers.IPv6:
			words = append(words, "IPv6")
			src, dst = l.SrcIP, l.DstIP
		case *layers.IPv6Fragment:
			words = append(words, l.NextHeader.String(), fmt.Sprintf("fragment at %d", int(l.FragmentOffset)*8))
		case *layers.TCP:
			words = append(words, "TCP")
			srcPort, dstPort = strconv.Itoa(int(l.SrcPort)), strconv.Itoa(int(l.DstPort))
		case *layers.UDP:
			words = append(words, "UDP")
			srcPort, dstPort = strconv.Itoa(int(l.SrcPort)), strconv.Itoa(int(l.DstPort))
		case *layers.SCTP:
			words = append(words, "SCTP")
			srcPort, dstPort = strconv.Itoa(int(l.SrcPort)), strconv.Itoa(int(l.DstPort))
		case *layers.ICMPv4:
			words = append(words, "ICMP", l.TypeCode.String())
		case *layers.ICMPv6:
			words = append(words, "ICMPv6", l.TypeCode.String())
		case *gopacket.DecodeFailure:
			if p.Metadata().Truncated {
				words = append(words, "(cut off)")
			}
		}
	}
	switch {
	case srcPort != "":
		words = append(words, net.JoinHostPort(src.String(), srcPort), ">", net.JoinHostPort(dst.String(), dstPort))
	case src != nil:
		words = append(words, src.String(), ">", dst.String())
	default:
		if words == nil && len(data) >= observe.MinLen {
			words = append(words, fmt.Sprintf("Ethernet %#04x", binary.BigEndian.Uint16(data[12:])))
		}
		words = append(words, mac.Src().String(), ">", mac.Dst().String())
	}
	return strings.Join(words, " ")
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
