package main

import (
	"strings"
	"testing"
)

// TestWords makes packets from words, and has them described in words again.
func TestWords(t *testing.T) {
	for words, want := range map[string]struct {
		described string
		length    int
	}{
		"ipv4 udp 192.0.2.1:53 > 192.0.2.2:4000":                             {"IPv4 UDP 192.0.2.1:53 > 192.0.2.2:4000", 60},
		"IPv4 TCP 192.0.2.1:1 > 192.0.2.2:443":                               {"IPv4 TCP 192.0.2.1:1 > 192.0.2.2:443", 60},
		"vlan 5 vlan 7 ipv6 tcp [2001:db8::1]:1 > [2001:db8::2]:2":           {"VLAN 5 VLAN 7 IPv6 TCP [2001:db8::1]:1 > [2001:db8::2]:2", 82},
		"ipv6 sctp [2001:db8::1]:1 > [2001:db8::2]:2":                        {"IPv6 SCTP [2001:db8::1]:1 > [2001:db8::2]:2", 66},
		"ipv4 icmp 192.0.2.1 > 192.0.2.2":                                    {"IPv4 ICMP EchoRequest 192.0.2.1 > 192.0.2.2", 60},
		"ipv6 icmpv6 2001:db8::1 > 2001:db8::2 ttl 1":                        {"IPv6 ICMPv6 EchoRequest 2001:db8::1 > 2001:db8::2", 60},
		"arp reply 192.0.2.1 > 192.0.2.2":                                    {"ARP reply 192.0.2.1 > 192.0.2.2", 60},
		"vlan 5 arp request 192.0.2.1 > 192.0.2.2":                           {"VLAN 5 ARP request 192.0.2.1 > 192.0.2.2", 60},
		"ipv4 192.0.2.1 > 192.0.2.2 payload 0102 length 60":                  {"IPv4 192.0.2.1 > 192.0.2.2", 60},
		"ipv4 tcp 192.0.2.1:1 > 192.0.2.2:2 flags syn,ack length 90 ttl 255": {"IPv4 TCP 192.0.2.1:1 > 192.0.2.2:2", 90},
	} {
		packet, err := packetOf(words)
		if err != nil {
			t.Errorf("%s: %v", words, err)
			continue
		}
		if got := string(newDissector().summary(packet)); got != want.described || len(packet) != want.length {
			t.Errorf("%s: %s, %d bytes, want %+v", words, got, len(packet), want)
		}
	}
	const tcp = "ipv4 tcp 192.0.2.1:1 > 192.0.2.2:2"
	for words, want := range map[string]string{
		"":                                             "arp, ipv4 or ipv6 is wanted",
		"ipx 1 > 2":                                    `this is "ipx"`,
		"vlan x ipv4":                                  "not a VLAN's ID",
		"vlan 4096 ipv4":                               "from 0 to 4095",
		"arp 192.0.2.1 > 192.0.2.2":                    "request or reply is wanted",
		"arp request ::1 > ::2":                        `"::1" is not an IPv4 address`,
		"ipv4 gre 192.0.2.1 > 192.0.2.2":               `this is "gre"`,
		"ipv4 udp 192.0.2.1 > 192.0.2.2":               `"192.0.2.1" is not an IPv4 address with a port`,
		"ipv4 192.0.2.1:5 > 192.0.2.2":                 "not an IPv4 address",
		"ipv6 192.0.2.1 > 192.0.2.2":                   "not an IPv6 address",
		"ipv6 fe80::1%eth0 > 2001:db8::1":              "not an IPv6 address",
		"ipv4 192.0.2.1 192.0.2.2":                     "> is wanted",
		"ipv4 192.0.2.1 >":                             `"" is not an IPv4 address`,
		tcp + " ttl 256":                               "not a TTL",
		tcp + " flags syn,syn2":                        `"syn2" is not a flag`,
		tcp + " payload xy":                            `payload "xy"`,
		tcp + " length 59":                             "has 60 bytes, more than length 59",
		tcp + " and more":                              `unknown word "and"`,
		"ipv4 udp 192.0.2.1:1 > 192.0.2.2:2 flags syn": `unknown word "flags"`,
		"arp request 192.0.2.1 > 192.0.2.2 more":       `unknown word "more"`,
	} {
		if _, err := packetOf(words); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", words, err, want)
		}
	}
}
