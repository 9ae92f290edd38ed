package observe

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// to is a destination whose first two bytes are the verdicts of step0 and step1.
func to(first, second xdp.Verdict) net.HardwareAddr {
	return net.HardwareAddr{byte(first), byte(second), 0, 0, 0, 2}
}

// fragment makes a frame of UDP4 one fragment of a datagram.
func fragment(frame []byte, offset int, more bool) []byte {
	field := uint16(offset / 8)
	if more {
		field |= 1 << 13
	}
	binary.BigEndian.PutUint16(frame[14+6:], field)
	return frame
}

// fragment6 puts a fragment header (RFC 8200) before the UDP header of a frame of UDP6.
func fragment6(frame []byte, offset int) []byte {
	out := append([]byte(nil), frame[:54]...)
	out[14+6] = 44
	binary.BigEndian.PutUint16(out[14+4:], uint16(len(frame)-54+8))
	header := []byte{17, 0, 0, 0, 0, 0, 0, 7}
	binary.BigEndian.PutUint16(header[2:], uint16(offset)|1)
	return append(append(out, header...), frame[54:]...)
}

const (
	pp = "step0 XDP_PASS, step1 XDP_PASS, edit XDP_PASS => XDP_PASS by edit"
	v6 = "xdp_drop_ipv6 XDP_DROP => XDP_DROP by xdp_drop_ipv6"
	n6 = "xdp_drop_ipv6 XDP_PASS, "
	c4 = "192.0.2.1:10000 > 192.0.2.2:20000"
	c6 = "[2001:db8::1]:10000 > [2001:db8::2]:20000"
)

var (
	pass2 = to(xdp.Pass, xdp.Pass)
	flow  = harness.Flow{DstMAC: pass2}
)

// The capture, with what the chain xdp_count, xdp_drop_ipv6, step0 (on XDP_PASS),
// step1 (on XDP_PASS and XDP_TX), edit does to it, worked out by hand.
var handMade = []struct {
	frame []byte
	want  string // after the number, and without xdp_count, which always passes
}{
	{harness.UDP4(flow), "IPv4 UDP " + c4 + ", 42 bytes: " + n6 + pp},
	{harness.TCP4(flow), "IPv4 TCP " + c4 + ", 54 bytes: " + n6 + pp},
	{harness.UDP6(flow), "IPv6 UDP " + c6 + ", 62 bytes: " + v6},
	{harness.TCP6(flow), "IPv6 TCP " + c6 + ", 74 bytes: " + v6},
	{harness.ARP(flow), "ARP request 192.0.2.1 > 192.0.2.2, 42 bytes: " + n6 + pp},
	{harness.UDP4(harness.Flow{DstMAC: pass2, VLAN: []uint16{5}}), "VLAN 5 IPv4 UDP " + c4 + ", 46 bytes: " + n6 + pp},
	{harness.UDP4(harness.Flow{DstMAC: pass2, VLAN: []uint16{7, 5}}), "VLAN 7 VLAN 5 IPv4 UDP " + c4 + ", 50 bytes: " + n6 + pp},
	// xdp_drop_ipv6 looks at the frame's own type, not behind a VLAN tag.
	{harness.UDP6(harness.Flow{DstMAC: pass2, VLAN: []uint16{5}}), "VLAN 5 IPv6 UDP " + c6 + ", 66 bytes: " + n6 + pp},
	{fragment(harness.UDP4(harness.Flow{DstMAC: pass2, PayloadLen: 24}), 0, true), "IPv4 UDP fragment at 0 192.0.2.1 > 192.0.2.2, 66 bytes: " + n6 + pp},
	{fragment(harness.UDP4(harness.Flow{DstMAC: pass2, PayloadLen: 24}), 32, false), "IPv4 UDP fragment at 32 192.0.2.1 > 192.0.2.2, 66 bytes: " + n6 + pp},
	{fragment6(harness.UDP6(flow), 0), "IPv6 UDP fragment at 0 2001:db8::1 > 2001:db8::2, 70 bytes: " + v6},
	{fragment6(harness.UDP6(flow), 1448), "IPv6 UDP fragment at 1448 2001:db8::1 > 2001:db8::2, 70 bytes: " + v6},
	{harness.UDP4(harness.Flow{DstMAC: to(xdp.Drop, xdp.Pass)}), "IPv4 UDP " + c4 + ", 42 bytes: " + n6 + "step0 XDP_DROP => XDP_DROP by step0"},
	{harness.TCP4(harness.Flow{DstMAC: to(xdp.Aborted, xdp.Pass)}), "IPv4 TCP " + c4 + ", 54 bytes: " + n6 + "step0 XDP_ABORTED => XDP_ABORTED by step0"},
	{harness.TCP4(harness.Flow{DstMAC: to(xdp.TX, xdp.Pass)}), "IPv4 TCP " + c4 + ", 54 bytes: " + n6 + "step0 XDP_TX => XDP_TX by step0"},
	{harness.TCP4(harness.Flow{DstMAC: to(xdp.Redirect, xdp.Pass)}), "IPv4 TCP " + c4 + ", 54 bytes: " + n6 + "step0 XDP_REDIRECT => XDP_REDIRECT by step0"},
	{harness.TCP4(harness.Flow{DstMAC: to(9, xdp.Pass)}), "IPv4 TCP " + c4 + ", 54 bytes: " + n6 + "step0 9 => 9 by step0"},
	{harness.UDP4(harness.Flow{DstMAC: to(xdp.Pass, xdp.Drop)}), "IPv4 UDP " + c4 + ", 42 bytes: " + n6 + "step0 XDP_PASS, step1 XDP_DROP => XDP_DROP by step1"},
	{harness.UDP4(harness.Flow{DstMAC: to(xdp.Pass, xdp.Aborted)}), "IPv4 UDP " + c4 + ", 42 bytes: " + n6 + "step0 XDP_PASS, step1 XDP_ABORTED => XDP_ABORTED by step1"},
	{harness.UDP4(harness.Flow{DstMAC: to(xdp.Pass, xdp.TX)}), "IPv4 UDP " + c4 + ", 42 bytes: " + n6 + "step0 XDP_PASS, step1 XDP_TX, edit XDP_PASS => XDP_PASS by edit"},
	{harness.UDP4(harness.Flow{DstMAC: to(xdp.Pass, xdp.Redirect)}), "IPv4 UDP " + c4 + ", 42 bytes: " + n6 + "step0 XDP_PASS, step1 XDP_REDIRECT => XDP_REDIRECT by step1"},
	{harness.ARP(harness.Flow{DstMAC: to(xdp.Drop, xdp.Drop)}), "ARP request 192.0.2.1 > 192.0.2.2, 42 bytes: " + n6 + "step0 XDP_DROP => XDP_DROP by step0"},
	{harness.ARP(harness.Flow{DstMAC: to(xdp.Pass, xdp.TX)}), "ARP request 192.0.2.1 > 192.0.2.2, 42 bytes: " + n6 + "step0 XDP_PASS, step1 XDP_TX, edit XDP_PASS => XDP_PASS by edit"},
	{harness.UDP6(harness.Flow{DstMAC: to(xdp.TX, xdp.TX)}), "IPv6 UDP " + c6 + ", 62 bytes: " + v6},
	{harness.UDP6(harness.Flow{DstMAC: to(xdp.Drop, xdp.Pass), VLAN: []uint16{5}}), "VLAN 5 IPv6 UDP " + c6 + ", 66 bytes: " + n6 + "step0 XDP_DROP => XDP_DROP by step0"},
	{fragment(harness.UDP4(harness.Flow{DstMAC: to(xdp.Drop, xdp.Pass)}), 8, false), "IPv4 UDP fragment at 8 192.0.2.1 > 192.0.2.2, 42 bytes: " + n6 + "step0 XDP_DROP => XDP_DROP by step0"},
	{harness.UDP4(harness.Flow{DstMAC: pass2, Src: netip.MustParseAddr("198.51.100.9"), SrcPort: 53, DstPort: 4000}), "IPv4 UDP 198.51.100.9:53 > 192.0.2.2:4000, 42 bytes: " + n6 + pp},
	{harness.TCP6(harness.Flow{DstMAC: pass2, Dst: netip.MustParseAddr("2001:db8::53"), DstPort: 443}), "IPv6 TCP [2001:db8::1]:10000 > [2001:db8::53]:443, 74 bytes: " + v6},
	{harness.TCP4(harness.Flow{DstMAC: pass2, PayloadLen: 1446}), "IPv4 TCP " + c4 + ", 1500 bytes: " + n6 + pp},
	{append(append([]byte{2, 2, 0, 0, 0, 2}, 2, 0, 0, 0, 0, 1, 0x88, 0xb5), "local experimental"...), "Ethernet 0x88b5 02:00:00:00:00:01 > 02:02:00:00:00:02, 32 bytes: " + n6 + pp},
}

func chainOfFive(t *testing.T, v *harness.Veth) {
	t.Helper()
	attach(t, v,
		xdp.Program{File: samples + "xdp_count.o"},
		xdp.Program{File: samples + "xdp_drop_ipv6.o"},
		xdp.Program{File: steps, Name: "step0", Priority: xdp.Prio(20), Actions: xdp.On(xdp.Pass)},
		xdp.Program{File: steps, Name: "step1", Priority: xdp.Prio(30), Actions: xdp.On(xdp.Pass, xdp.TX)},
		xdp.Program{File: steps, Name: "edit", Priority: xdp.Prio(40)})
}

func TestTracePcap(t *testing.T) {
	if len(handMade) != 30 {
		t.Fatalf("%d packets", len(handMade))
	}
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	chainOfFive(t, v)
	var frames [][]byte
	want := map[string]int{}
	var lines []string
	for i, p := range handMade {
		frames = append(frames, p.frame)
		before, after, _ := strings.Cut(p.want, ": ")
		lines = append(lines, fmt.Sprintf("%d  %s: xdp_count XDP_PASS, %s", i+1, before, after))
		want[regexp.MustCompile(`=> (\S+) by`).FindStringSubmatch(p.want)[1]]++
	}
	out := filepath.Join(t.TempDir(), "out")
	stdout, stderr, status := harness.Run(t, xdpmux, "trace", v.Name, "--pcap", harness.WritePcap(t, layers.LinkTypeEthernet, frames...), "--out", out)
	if status != 0 || !strings.Contains(stderr, "receive queue 0") {
		t.Fatalf("exit status %d\n%s", status, stderr)
	}
	got := strings.Split(stdout, "\n")
	for i, line := range lines {
		if got[i] != line {
			t.Errorf("got:  %s\nwant: %s", got[i], line)
		}
	}
	for verdict, n := range want {
		if verdict == "9" {
			verdict = "other"
		}
		left := harness.ReadPcapng(t, filepath.Join(out, verdict+".pcapng"))
		if len(left) != n {
			t.Errorf("%s: %d packets in the file, want %d", verdict, len(left), n)
		}
		if verdict == "XDP_PASS" {
			for _, frame := range left {
				if frame[5] != 0xee { // written by edit, which all that pass have met
					t.Errorf("packet % x is not as the chain left it", frame[:14])
				}
			}
		}
	}
	// The totals of the chain, counted by hand in the table above.
	totals := strings.Fields(got[len(got)-2])
	if fmt.Sprint(totals) != "[chain 30 2 11 13 1 2 1 0]" {
		t.Errorf("totals %v\n%s", totals, stdout)
	}
	// Read back what it has written, as JSON.
	out2 := harness.MustRun(t, xdpmux, "trace", v.Name, "--json", "--pcap", filepath.Join(out, "XDP_TX.pcapng"))
	var line struct {
		Verdict   string
		DecidedBy struct{ Name string } `json:"decided_by"`
	}
	if err := json.Unmarshal([]byte(strings.SplitN(out2, "\n", 2)[0]), &line); err != nil || line.Verdict != "XDP_TX" || line.DecidedBy.Name != "step0" {
		t.Errorf("%v: %s", err, out2)
	}
}

func TestTraceBadCapture(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	chainOfFive(t, v)
	state := harness.Snapshot(t)
	good := harness.WritePcap(t, layers.LinkTypeEthernet, handMade[0].frame, handMade[1].frame)
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	file := func(contents []byte) string {
		name := filepath.Join(t.TempDir(), "bad.pcap")
		if err := os.WriteFile(name, contents, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, c := range []struct{ name, file, want string }{
		{"missing", "/nowhere.pcap", "can't open /nowhere.pcap: no such file"},
		{"text", file([]byte("this is no capture at all")), "is not a pcap or pcapng file"},
		{"empty", file(nil), "is not a pcap or pcapng file"},
		{"truncated", file(data[:len(data)-5]), "is truncated or broken after packet 1"},
		{"truncated header", file(data[:20]), "is not a pcap or pcapng file"},
		{"link type", harness.WritePcap(t, layers.LinkTypeRaw, handMade[0].frame), "XDP programs see Ethernet"},
		{"long", harness.WritePcap(t, layers.LinkTypeEthernet, handMade[0].frame, make([]byte, 4000)), "packet 2 of"},
		{"short", harness.WritePcap(t, layers.LinkTypeEthernet, make([]byte, 13)), "has 13 bytes, and a test run"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, stderr, status := harness.Run(t, xdpmux, "trace", v.Name, "--pcap", c.file)
			if status != 1 || stdout != "" || !strings.Contains(stderr, c.want) {
				t.Errorf("exit status %d\n%s%swant: %s", status, stdout, stderr, c.want)
			}
			state.Check(t)
		})
	}
}

// The command, its start and end included, takes at most ten times what the kernel takes to run
// as many packets through the chain, each in a test run of its own: the best of a few turns, for
// others share the processors.
func TestTraceMany(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	chainOfFive(t, v)
	frames := make([][]byte, 15_000)
	for i := range frames {
		frames[i] = handMade[i%len(handMade)].frame
	}
	name := harness.WritePcap(t, layers.LinkTypeEthernet, frames...)
	const wanted = 10.
	best := math.Inf(1)
	fd := dispatcherOf(t, v)
	for run := 0; run < 6 && best > wanted; run++ {
		start := time.Now()
		for _, f := range frames {
			testRun(t, v, fd, f, 1)
		}
		alone := time.Since(start)
		// Into a file: were it read here, reader and writer would share the processors.
		out, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(xdpmux, "trace", v.Name, "--pcap", name, "--json")
		cmd.Stdout = out
		start = time.Now()
		if err := errors.Join(cmd.Run(), out.Close()); err != nil {
			t.Fatal(err)
		}
		took := time.Since(start)
		t.Logf("%v, %v alone", took, alone)
		best = min(best, took.Seconds()/alone.Seconds())
		text, err := os.ReadFile(out.Name())
		if lines := bytes.Count(text, []byte("\n")); err != nil || lines != len(frames)+1 {
			t.Fatalf("%d lines for %d packets and the totals, %v", lines, len(frames), err)
		}
	}
	if best > wanted {
		t.Errorf("%.1f times as long as the test runs alone, want %.0f", best, wanted)
	}
}
