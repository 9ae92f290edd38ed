package main

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/xdpmux/xdpmux/cmd/internal/capture"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// What print puts together is what a traceJSON says, and the totals count it.
func TestTraceLines(t *testing.T) {
	first := xdp.Loaded{ID: 7, Name: "xdp_count"}
	second := xdp.Loaded{ID: 9, Name: "xdp_drop"}
	dropped := &observe.Trace{Time: time.Unix(12, 345000).UTC(), Verdict: xdp.Drop, DecidedBy: &second,
		Steps: []observe.Step{{Loaded: first, Verdict: xdp.Pass}, {Loaded: second, Verdict: xdp.Drop}}}
	handedOn := &observe.Trace{Time: time.Unix(13, 0).UTC(), Verdict: xdp.Pass,
		Steps: []observe.Step{{Loaded: first, Verdict: xdp.Pass}, {Loaded: second, Verdict: 34}}}
	traces := []*observe.Trace{dropped, handedOn, dropped}
	summary := "IPv4 UDP 192.0.2.1:1 > 192.0.2.2:2"

	var text, lines bytes.Buffer
	p, asJSON := newTracePrinter(&text, false, nil), newTracePrinter(&lines, true, nil)
	whole := []int{42, 42, 1500}
	for i, trace := range traces {
		if err := p.print(i+1, trace, []byte(summary), 42, whole[i]); err != nil {
			t.Fatal(err)
		}
		if err := asJSON.print(i+1, trace, []byte(summary), 42, whole[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.totals(); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"1  " + summary + ", 42 bytes: xdp_count XDP_PASS, xdp_drop XDP_DROP => XDP_DROP by xdp_drop",
		"2  " + summary + ", 42 bytes: xdp_count XDP_PASS, xdp_drop 34 => XDP_PASS by the dispatcher",
		"3  " + summary + ", 42 of 1500 bytes: xdp_count XDP_PASS, xdp_drop XDP_DROP => XDP_DROP by xdp_drop",
		"",
		"ID  Program    Packets  XDP_ABORTED  XDP_DROP  XDP_PASS  XDP_TX  XDP_REDIRECT  other  Decided",
		"7   xdp_count  3        0            0         3         0       0             0      0",
		"9   xdp_drop   3        0            2         0         0       0             1      2",
		"    chain      3        0            2         1         0       0             0      1",
		"",
	}, "\n")
	if got := text.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}

	drop := stepJSON{xdp.Loaded{ID: 9, Name: "xdp_drop"}, "XDP_DROP"}
	count := stepJSON{xdp.Loaded{ID: 7, Name: "xdp_count"}, "XDP_PASS"}
	var wantJSON bytes.Buffer
	enc := json.NewEncoder(&wantJSON)
	enc.SetEscapeHTML(false)
	for _, line := range []traceJSON{
		{packetJSON{1, dropped.Time, 42, 0, "", summary}, wayJSON{[]stepJSON{count, drop}, "XDP_DROP", &drop}},
		{packetJSON{2, handedOn.Time, 42, 0, "", summary}, wayJSON{[]stepJSON{count, {drop.Loaded, "34"}}, "XDP_PASS", nil}},
		{packetJSON{3, dropped.Time, 42, 1500, "", summary}, wayJSON{[]stepJSON{count, drop}, "XDP_DROP", &drop}},
	} {
		if err := enc.Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	if got := lines.String(); got != wantJSON.String() {
		t.Errorf("got\n%s\nwant\n%s", got, &wantJSON)
	}
}

// A program whose verdicts are all different fills no memory, and is counted.
func TestTraceManyWays(t *testing.T) {
	var w bytes.Buffer
	p := newTracePrinter(&w, false, nil)
	program := xdp.Loaded{ID: 7, Name: "odd"}
	const n = 3 * maxWays
	for i := range n {
		v := xdp.Verdict(100 + i)
		if err := p.print(i+1, &observe.Trace{Verdict: v, DecidedBy: &program, Steps: []observe.Step{{Loaded: program, Verdict: v}}}, nil, 60, 60); err != nil {
			t.Fatal(err)
		}
	}
	if len(p.ways) > maxWays || p.programs[0].verdicts[observe.Other] != n || p.programs[0].decided != n {
		t.Errorf("%d ways, %+v", len(p.ways), p.programs[0])
	}
}

func serialize(t *testing.T, parts ...gopacket.SerializableLayer) []byte {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true}, parts...); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSummary(t *testing.T) {
	src, dst := net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
	eth := func(typ layers.EthernetType) *layers.Ethernet {
		return &layers.Ethernet{SrcMAC: src, DstMAC: dst, EthernetType: typ}
	}
	ip4 := func(p layers.IPProtocol) *layers.IPv4 {
		return &layers.IPv4{Version: 4, TTL: 64, Protocol: p, SrcIP: net.IP{192, 0, 2, 1}, DstIP: net.IP{192, 0, 2, 2}}
	}
	ip6 := func(p layers.IPProtocol) *layers.IPv6 {
		return &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: p, SrcIP: net.ParseIP("2001:db8::1"), DstIP: net.ParseIP("2001:db8::2")}
	}
	udp := &layers.UDP{SrcPort: 53, DstPort: 4789} // of VXLAN: what is inside is not what programs see
	tcp := &layers.TCP{SrcPort: 443, DstPort: 50000, Options: []layers.TCPOption{{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 180}}}}
	whole := serialize(t, eth(layers.EthernetTypeIPv4), ip4(layers.IPProtocolUDP), udp, gopacket.Payload("\x08\x00\x00\x00\x00\x00\x05\x00"))
	hopByHop := append([]byte{17, 0, 5, 2, 0, 0, 1, 0}, serialize(t, udp)...) // router alert
	d := newDissector()
	for _, c := range []struct {
		name  string
		frame []byte
		want  string
	}{
		{"UDP", whole, "IPv4 UDP 192.0.2.1:53 > 192.0.2.2:4789"},
		{"TCP", serialize(t, eth(layers.EthernetTypeIPv6), ip6(layers.IPProtocolTCP), tcp), "IPv6 TCP [2001:db8::1]:443 > [2001:db8::2]:50000"},
		{"SCTP", serialize(t, eth(layers.EthernetTypeIPv4), ip4(layers.IPProtocolSCTP), &layers.SCTP{SrcPort: 1, DstPort: 2}), "IPv4 SCTP 192.0.2.1:1 > 192.0.2.2:2"},
		{"two tags", serialize(t, eth(layers.EthernetTypeQinQ), &layers.Dot1Q{VLANIdentifier: 7, Type: layers.EthernetTypeDot1Q},
			&layers.Dot1Q{VLANIdentifier: 5, Type: layers.EthernetTypeIPv4}, ip4(layers.IPProtocolUDP), udp), "VLAN 7 VLAN 5 IPv4 UDP 192.0.2.1:53 > 192.0.2.2:4789"},
		{"ping", serialize(t, eth(layers.EthernetTypeIPv4), ip4(layers.IPProtocolICMPv4), &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0)}), "IPv4 ICMP EchoRequest 192.0.2.1 > 192.0.2.2"},
		{"ping6", serialize(t, eth(layers.EthernetTypeIPv6), ip6(layers.IPProtocolICMPv6), &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(129, 0)}), "IPv6 ICMPv6 EchoReply 2001:db8::1 > 2001:db8::2"},
		{"hop by hop", serialize(t, eth(layers.EthernetTypeIPv6), ip6(layers.IPProtocolIPv6HopByHop), gopacket.Payload(hopByHop)), "IPv6 UDP [2001:db8::1]:53 > [2001:db8::2]:4789"},
		{"destination options", serialize(t, eth(layers.EthernetTypeIPv6), ip6(layers.IPProtocolIPv6Destination), gopacket.Payload(hopByHop)), "IPv6 UDP [2001:db8::1]:53 > [2001:db8::2]:4789"},
		{"fragment", serialize(t, eth(layers.EthernetTypeIPv6), ip6(layers.IPProtocolIPv6Fragment), gopacket.Payload("\x11\x00\x00\x10\x00\x00\x00\x01data")), "IPv6 UDP fragment at 16 2001:db8::1 > 2001:db8::2"},
		{"no decoder", serialize(t, eth(layers.EthernetTypeIPv4), ip4(layers.IPProtocolOSPF), gopacket.Payload("hello")), "IPv4 192.0.2.1 > 192.0.2.2"},
		{"in IPv4", serialize(t, eth(layers.EthernetTypeIPv4), ip4(layers.IPProtocolIPv6), ip6(layers.IPProtocolTCP), tcp), "IPv4 IPv6 TCP [2001:db8::1]:443 > [2001:db8::2]:50000"},
		{"cut in IPv4", whole[:30], "(cut off) 02:00:00:00:00:01 > 02:00:00:00:00:02"},
		{"cut in UDP", whole[:38], "IPv4 (cut off) 192.0.2.1 > 192.0.2.2"},
		{"unknown", serialize(t, eth(0x88b5), gopacket.Payload("local experimental")), "Ethernet 0x88b5 02:00:00:00:00:01 > 02:00:00:00:00:02"},
		{"UDP once more", whole, "IPv4 UDP 192.0.2.1:53 > 192.0.2.2:4789"},
	} {
		if got := string(d.summary(c.frame)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	// Anything can be in a packet; its summary stands in a JSON string as it is.
	plain := regexp.MustCompile(`^[ !#-\[\]-~]+$`)
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		frame := bytes.Clone(whole[:14+random.IntN(len(whole)-14)])
		frame[13] = []byte{0, 6, 0xdd, byte(random.Uint32())}[random.IntN(4)]
		for i := range frame[14:] {
			if random.IntN(3) == 0 {
				frame[14+i] = byte(random.Uint32())
			}
		}
		if words := d.summary(frame); len(words) == 0 || !plain.Match(words) {
			t.Fatalf("%q about % x", words, frame)
		}
	}
}

// A packet that is only written takes no memory, at the chain and at its programs.
func TestWriteAllocates(t *testing.T) {
	program := xdp.Loaded{ID: 9, Name: "xdp_drop"}
	data := make([]byte, 1000)
	packet := &observe.Trace{Time: time.Unix(12, 0), Verdict: xdp.Drop, DecidedBy: &program, Main: xdp.Loaded{ID: 8, Name: "xdp_dispatcher"},
		Steps: []observe.Step{{Loaded: program, Verdict: xdp.Drop}}, Length: len(data), Data: data,
		Points: []observe.Point{{Program: program, Data: data}, {Program: program, Exit: true, Verdict: xdp.Drop, Data: data}}}
	for _, at := range []observe.At{observe.AtChain, observe.AtPrograms} {
		w := &pointWriter{captureWriter: &captureWriter{Writer: capture.NewWriter(io.Discard, capture.Section{})}, at: at, points: map[point]*written{}}
		p := newTracePrinter(io.Discard, false, nil)
		p.quiet = true
		n := 0
		if allocated := testing.AllocsPerRun(1000, func() {
			n++
			if err := w.add(n, "eth0", packet, 0); err != nil {
				t.Fatal(err)
			}
			if err := p.packet(n, packet, data, len(data), len(data)); err != nil {
				t.Fatal(err)
			}
		}); allocated > 0 {
			t.Errorf("at %v each packet allocates %v times", at, allocated)
		}
	}
}
