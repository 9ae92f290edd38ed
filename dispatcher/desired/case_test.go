package desired

import (
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

const oneCase = "{name: a, packet: ipv4, expect: {verdict: pass}}"

func TestParseCases(t *testing.T) {
	cases, err := ParseCases(t.Context(), "cases.yaml", "/dir", []byte(`cases:
- name: first
  interface: eth0
  packet: {pcap: traffic.pcapng, number: 7}
  maps: {guard: {allowed: [{key: 192.0.2.1, value: 1}]}}
  expect: {verdict: drop, program: guard, bytes: same}
- {name: second, packet: {hex: "00 01 02"}, expect: {verdict: XDP_TX, bytes: "0102"}}
`))
	if err != nil || len(cases) != 2 {
		t.Fatal(cases, err)
	}
	first, second := cases[0], cases[1]
	if first.Where() != "cases.yaml:2:3" || first.Packet.Pcap != "/dir/traffic.pcapng" || first.Packet.Number != 7 ||
		first.Verdict != xdp.Drop || first.DecidedBy != "guard" || !first.Bytes.Same || first.Maps["guard"]["allowed"][0].Key != "192.0.2.1" {
		t.Errorf("%+v", first)
	}
	if string(second.Packet.Hex) != "\x00\x01\x02" || second.Verdict != xdp.TX || second.Bytes.Same || string(second.Bytes.Hex) != "\x01\x02" {
		t.Errorf("%+v", second)
	}
	for text, want := range map[string]string{
		"":                        "c.yaml: there is no case in it",
		"cases: []":               "c.yaml:1:1: there is no case in it",
		"case: []":                `c.yaml:1:1: unknown key "case"`,
		"cases: [{packet: ipv4}]": `c.yaml:1:9: key "name" is missing`,
		"cases: [{name: a}]":      `c.yaml:1:9: key "packet" is missing`,
		"cases: [" + oneCase + ", " + oneCase + "]":                                      `c.yaml:1:59: there are two cases "a", the first at c.yaml:1:9`,
		"cases: [{name: a, packet: ipv4, expect: {}}]":                                   `c.yaml:1:41: key "verdict" is missing`,
		"cases: [{name: a, packet: ipv4, expect: {verdict: reject}}]":                    `c.yaml:1:51: unknown verdict "reject"`,
		"cases: [{name: a, packet: ipv4, expect: {verdict: pass, bytes: 0x}}]":           `c.yaml:1:64: "0x"`,
		"cases: [{name: a, packet: ipv4, expect: {verdict: pass, by: b}}]":               `c.yaml:1:57: unknown key "by"`,
		"cases: [{name: a, packet: {}, expect: {verdict: pass}}]":                        "c.yaml:1:27: a packet is either hex or from a pcap",
		"cases: [{name: a, packet: {hex: xy}, expect: {verdict: pass}}]":                 `c.yaml:1:33: "xy": encoding/hex`,
		"cases: [{name: a, packet: {pcap: a.pcap}, expect: {verdict: pass}}]":            "c.yaml:1:27: pcap and number go together",
		"cases: [{name: a, packet: {pcap: a.pcap, number: 0}, expect: {verdict: pass}}]": "c.yaml:1:50: 0 is not the number of a packet",
		`cases: [{name: a, packet: {hex: "00", number: 1}, expect: {verdict: pass}}]`:    "c.yaml:1:27: pcap and number go together",
		`cases: [{name: a, packet: {hex: 0102}, expect: {verdict: pass}}]`:               "c.yaml:1:33: 0102 can be read in several ways",
		"cases: [{name: a, packet: [ipv4], expect: {verdict: pass}}]":                    "c.yaml:1:27: an object is wanted here",
		"cases: [{name: a, packet: ipv4, maps: {p: {m: [1]}}, expect: {verdict: pass}}]": "c.yaml:1:48: an object is wanted here",
	} {
		if _, err := ParseCases(t.Context(), "c.yaml", ".", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

// TestCaseInterface finds the interface that a case is about.
func TestCaseInterface(t *testing.T) {
	state := func(text string) *State {
		s, err := Parse(t.Context(), "s.yaml", ".", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for text, want := range map[string]string{
		"interfaces: [{name: eth0}, {name: eth0}]": "the state wants no program on eth0",
		"interfaces: [{name: eth0}, {name: eth1}]": "the state names several interfaces",
		"interfaces: [{name: 'eth*'}]":             "or a pattern",
		"":                                         "the state names no interface",
		"interfaces: [{name: eth0, programs: [{name: a, object: a.o}, {name: b, object: b.o}]}]": `wants no program "c" on eth0`,
	} {
		c := Case{where: "c.yaml:1:9", DecidedBy: "c"}
		if strings.Contains(want, "wants no program on") {
			c.DecidedBy = ""
		}
		_, err := c.Programs(t.Context(), state(text))
		if err == nil || !strings.HasPrefix(err.Error(), "c.yaml:1:9: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
