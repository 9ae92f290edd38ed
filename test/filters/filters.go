// Package filters has filters in tcpdump's language, and packets to try them on. It isn't part of
// package harness, so that tests which need no kernel of their own can use it.
package filters

import (
	_ "embed"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/xdpmux/xdpmux/test/harness"
)

//go:embed filters.txt
var written string

// All are two hundred and more in tcpdump's language: those of filters.txt, which are out of its
// manual page for the most part, and random ones.
func All(t testing.TB) []string {
	t.Helper()
	all := strings.Split(strings.TrimSpace(written), "\n")
	r := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		all = append(all, random(r, 3))
	}
	if len(all) < 200 {
		t.Fatalf("only %d filters", len(all))
	}
	return all
}

// random is a filter that some packets pass.
func random(r *rand.Rand, depth int) string {
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	switch n := r.IntN(8); {
	case depth > 0 && n < 2:
		return fmt.Sprintf("(%s) %s (%s)", random(r, depth-1), one("or", "and not", "or not"), random(r, depth-1))
	case depth > 0 && n == 2:
		return "not (" + random(r, depth-1) + ")"
	case n == 3:
		return one("", "tcp ", "udp ") + one("", "src ", "dst ") + "port " + one("443", "53", "10000", "20000")
	case n == 4:
		return one("", "src ", "dst ") + "host " + one("192.0.2.1", "192.0.2.2", "198.51.100.7", "2001:db8::1")
	case n == 5:
		return fmt.Sprintf("%s[%d:%s] %s 0x%x > %d", one("ether", "ip", "tcp", "udp", "ip6"), r.IntN(70), one("1", "2", "4"),
			one("&", "|", "^", "+", "-", "*", "/", "%", "<<", ">>"), 1+r.IntN(31), r.IntN(1<<uint(r.IntN(31))))
	case n == 6:
		return fmt.Sprintf("ip[ip[%d] %s %d] %s %d", r.IntN(20), one("+", "-", "*", "&"), 1+r.IntN(99), one("=", "!=", ">", "<="), r.IntN(256))
	}
	return one("tcp", "udp", "icmp", "arp", "ip6", "vlan", "greater 100", "less 100", "multicast")
}

// Packets are of all the protocols that the filters are about, and cut and padded ones.
func Packets() [][]byte {
	other := netip.MustParseAddr("198.51.100.7")
	v6 := netip.MustParseAddr("2001:db8:1::7")
	broadcast := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	udp, tcp := harness.UDP4(harness.Flow{}), harness.TCP4(harness.Flow{DstPort: 443})
	all := [][]byte{
		udp, tcp, harness.UDP6(harness.Flow{}), harness.TCP6(harness.Flow{SrcPort: 443}), harness.ARP(harness.Flow{}),
		harness.UDP4(harness.Flow{Src: other, DstPort: 53, PayloadLen: 100}), harness.UDP6(harness.Flow{Src: v6, DstPort: 53}),
		harness.TCP4(harness.Flow{Dst: other, DstPort: 443, Payload: []byte("GET / HTTP/1.0")}), harness.TCP4(harness.Flow{DstPort: 80, PayloadLen: 30}),
		harness.UDP4(harness.Flow{SrcPort: 5000, DstPort: 5000, PayloadLen: 1400}), harness.UDP4(harness.Flow{SrcPort: 443, DstPort: 65535, PayloadLen: 3000}),
		harness.UDP4(harness.Flow{DstMAC: broadcast, Dst: netip.MustParseAddr("255.255.255.255")}),
		harness.UDP4(harness.Flow{DstMAC: net.HardwareAddr{1, 0, 0x5e, 0, 0, 1}, Dst: netip.MustParseAddr("224.0.0.1")}),
		harness.UDP4(harness.Flow{Dst: netip.MustParseAddr("239.1.2.3")}), harness.UDP6(harness.Flow{Dst: netip.MustParseAddr("ff02::1")}),
	}
	for _, vlan := range [][]uint16{{5}, {7, 5}, {100}} {
		all = append(all, harness.TCP4(harness.Flow{VLAN: vlan, DstPort: 443}), harness.UDP6(harness.Flow{VLAN: vlan}), harness.ARP(harness.Flow{VLAN: vlan}))
	}
	with := func(frame []byte, at int, bytes ...byte) {
		frame = slices.Clone(frame)
		copy(frame[at:], bytes)
		all = append(all, frame)
	}
	for _, proto := range []byte{1, 2, 4, 9, 41, 47, 50, 51, 58, 103, 112, 132} { // from ICMP to SCTP
		with(udp, 14+9, proto)
		with(harness.UDP6(harness.Flow{PayloadLen: 40}), 14+6, proto)
	}
	for _, flags := range []byte{0x01, 0x04, 0x10, 0x14, 0x18, 0x12} {
		with(tcp, 14+20+13, flags)
	}
	icmp := slices.Clone(udp)
	icmp[14+9] = 1
	for _, kind := range []byte{0, 3, 8, 11} {
		with(icmp, 14+20, kind, kind&1)
	}
	icmp6 := harness.UDP6(harness.Flow{PayloadLen: 20})
	icmp6[14+6] = 58
	for _, kind := range []byte{128, 129, 135} {
		with(icmp6, 14+40, kind, 0)
	}
	with(udp, 14+6, 0x20, 0)                                  // the first fragment
	with(udp, 14+6, 0, 0x10)                                  // a later one
	with(udp, 14, 0x46)                                       // a header with options
	with(udp, 14, 0x4f)                                       // the longest, of which the end is missing
	with(udp, 14+1, 20)                                       // a type of service, by which filters divide
	with(udp, 14+8, 3)                                        // hops left
	with(harness.UDP6(harness.Flow{PayloadLen: 24}), 14+6, 0) // hop-by-hop options
	for _, ethertype := range []uint16{0x88cc, 0x8035, 0x809b, 0x80f3, 0x6003, 0x8863, 0x8137, 0x0026, 0x0040} {
		with(harness.UDP4(harness.Flow{PayloadLen: 30}), 12, byte(ethertype>>8), byte(ethertype))
	}
	for _, head := range []string{
		"884700064140" + "", "8847" + "00064040" + "00400140", // MPLS 100 at the bottom of the stack; and above 1024
		"8864110000270030" + "0021", "8864110000280030" + "0057", // PPPoE sessions with IPv4 and IPv6
		"0026" + "fefe03", "0026" + "424203", "0026" + "e0e003", "0026" + "f0f003", // LLC: OSI, STP, IPX, NetBEUI
	} {
		bytes, err := hex.DecodeString(head)
		if err != nil {
			panic(err)
		}
		all = append(all, slices.Concat(udp[:12], bytes, udp[14:]), slices.Concat(udp[:12], bytes, harness.UDP6(harness.Flow{})[14:]))
	}
	geneve := slices.Concat([]byte{0, 0, 0x65, 0x58, 0, 0, 0xb, 0}, tcp)
	all = append(all, harness.UDP4(harness.Flow{DstPort: 6081, Payload: geneve}))
	for _, n := range []int{14, 15, 23, 24, 33, 34, 37, 40} {
		all = append(all, udp[:n], tcp[:n])
	}
	return all
}

// Pcap is a file with the packets. The time of each is its place, in seconds.
func Pcap(t testing.TB) (name string) {
	return harness.WritePcap(t, layers.LinkTypeEthernet, Packets()...)
}
