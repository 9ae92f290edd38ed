package observe

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/layers"

	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// verdictOf reads a verdict as a trace prints it.
func verdictOf(t *testing.T, word string) int64 {
	t.Helper()
	if v, err := xdp.ParseVerdict(word); err == nil {
		return int64(v)
	}
	var n int64
	if _, err := fmt.Sscan(word, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// writeLive has trace write what the interface receives, delivers frames, and returns what is in
// the file of them.
func writeLive(t *testing.T, v *harness.Veth, frames [][]byte, args ...string) ([]harness.Captured, harness.Points) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "live.pcapng")
	p := harness.Start(t, xdpmux, append([]string{"trace", v.Name, "--print", "--write", name}, args...)...)
	first := harness.UDP4(harness.Flow{DstMAC: pass2, PayloadLen: 200})
	p.Stdout.LineWhile(t, 50*time.Millisecond, func() { v.Deliver(t, first) })
	last := harness.UDP4(harness.Flow{DstMAC: pass2, PayloadLen: 201})
	v.Deliver(t, append(append([][]byte{}, frames...), last)...)
	if !p.Stdout.Until(t, func(all string) bool {
		return strings.Contains(all, ", 243 bytes") || strings.Contains(all, ", 247 bytes")
	}) {
		t.Fatalf("no last packet in\n%s", p.Stdout)
	}
	p.Stop(t, exitSignal)
	packets, points := harness.ReadPoints(t, name)
	var of []harness.Captured
	begun := uint64(0)
	for _, c := range packets {
		if c.Length >= 242 && c.Length <= 247 {
			continue
		}
		if begun == 0 {
			begun = c.ID - 1
		}
		c.ID -= begun
		of = append(of, c)
	}
	return of, points
}

// What the capture holds of the thirty packets whose ways are worked out by hand, of the wire and
// by test run.
func TestWrite(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	chainOfFive(t, v)
	var frames [][]byte
	var atChain, atPrograms []string
	said := regexp.MustCompile(`(\w+) (\w+)(?:, | => (\w+) by)`)
	for i, p := range handMade {
		frames = append(frames, p.frame)
		_, way, _ := strings.Cut(p.want, ": ")
		for _, m := range said.FindAllStringSubmatch("xdp_count XDP_PASS, "+way, -1) {
			point := fmt.Sprintf("%d %s:%s()@f", i+1, v.Name, m[1])
			atPrograms = append(atPrograms, point+"entry -1 0xorig", fmt.Sprintf("%sexit %d %s", point, verdictOf(t, m[2]), map[bool]string{true: "0xee", false: "0xorig"}[m[1] == "edit"]))
			if m[3] != "" {
				atChain = append(atChain, fmt.Sprintf("%d %s:xdp_dispatcher()@fexit %d %s", i+1, v.Name, verdictOf(t, m[3]), map[bool]string{true: "0xee", false: "0xorig"}[m[1] == "edit"]))
			}
		}
	}
	compare := func(name string, got []harness.Captured, want []string) {
		t.Helper()
		for i, c := range got {
			frame := bytes.Clone(handMade[c.ID-1].frame)
			kind := "0xother"
			if bytes.Equal(frame, c.Data) {
				kind = "0xorig"
			} else if frame[5] = 0xee; bytes.Equal(frame, c.Data) {
				kind = "0xee"
			}
			line := fmt.Sprintf("%d %s %d %s", c.ID, c.Interface, c.Verdict, kind)
			if i >= len(want) || line != want[i] || c.Length != len(frame) || c.Queue != 0 {
				t.Fatalf("%s: record %d: got %s, want %s", name, i+1, line, want[min(i, len(want)-1)])
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %d records, want %d", name, len(got), len(want))
		}
	}
	pcap := harness.WritePcap(t, layers.LinkTypeEthernet, frames...)
	for at, want := range map[string][]string{"chain": atChain, "programs": atPrograms} {
		got, points := writeLive(t, v, frames, "--at", at)
		compare(at+", live", got, want)
		for name, s := range points {
			if s.Received < s.Delivered || s.Delivered == 0 || s.Lost != 0 {
				t.Errorf("%s: %s: %+v", at, name, s)
			}
		}
		if n := map[string]int{"chain": 1, "programs": 10}[at]; len(points) != n {
			t.Errorf("%s: %d points, want %d", at, len(points), n)
		}
		name := filepath.Join(t.TempDir(), "replayed.pcapng")
		harness.MustRun(t, xdpmux, "trace", v.Name, "--pcap", pcap, "--write", name, "--at", at)
		got, _ = harness.ReadPoints(t, name)
		compare(at+", by test run", got, want)
		// To standard output goes the capture alone.
		harness.MustRun(t, "sh", "-c", `exec "$0" "$@" >`+name, xdpmux, "trace", v.Name, "--pcap", pcap, "-w", "-", "--at", at)
		got, _ = harness.ReadPoints(t, name)
		compare(at+", to standard output", got, want)
	}
}

// The bytes are those at the point: encap makes packets longer, in chains of one, two and ten. Of a jumbo frame,
// which comes in several buffers, they are those of the first one, and the length is that of all.
func TestWriteEncapsulated(t *testing.T) {
	encap := func(prio uint32) xdp.Program {
		return xdp.Program{File: "../../build/bpf/fixtures/encap.o", Priority: xdp.Prio(prio)}
	}
	for _, c := range []struct {
		name  string
		chain []xdp.Program
		at    int // place of encap
		main  string
	}{
		{"one", []xdp.Program{encap(1)}, 0, "encap"},
		{"two", []xdp.Program{step(0, xdp.Pass), encap(5)}, 1, "xdp_dispatcher"},
		{"ten", []xdp.Program{step(0, xdp.Pass), step(1, xdp.Pass), step(2, xdp.Pass), step(3, xdp.Pass),
			encap(5), step(5, xdp.Pass), step(6, xdp.Pass), step(7, xdp.Pass), step(8, xdp.Pass), step(9, xdp.Pass)}, 4, "xdp_dispatcher"},
	} {
		t.Run(c.name, func(t *testing.T) {
			harness.NoLeak(t)
			v := harness.NewVeth(t)
			v.SetMTU(t, 9000)
			frags := true
			for i := range c.chain {
				c.chain[i].Frags = &frags
			}
			attach(t, v, c.chain...)
			frames := [][]byte{packet(), append(packet(), make([]byte, 1200)...), append(packet(), make([]byte, 8900)...)}
			for i := range frames[2][64:] {
				frames[2][64+i] = byte(i >> 4)
			}
			tagged := func(frame []byte) []byte {
				return append(append(append([]byte{}, frame[:12]...), 0x81, 0, 0, 7), frame[12:]...)
			}
			name := filepath.Join(t.TempDir(), "chain.pcapng")
			atChain := harness.Start(t, xdpmux, "trace", v.Name, "-w", name)
			atChain.Stderr.Line(t) // it captures
			got, _ := writeLive(t, v, frames, "--at", "programs")
			if len(got) != 6*len(c.chain) {
				t.Fatalf("%d records of 3 packets at %d programs", len(got), len(c.chain))
			}
			check := func(r harness.Captured, want []byte, verdict int64) {
				t.Helper()
				jumbo := len(want) > 8000 && len(r.Data) > 2000 && len(r.Data) <= observe.SnapLen
				if !bytes.Equal(r.Data, want) && !(jumbo && bytes.HasPrefix(want, r.Data)) || r.Length != len(want) || r.Verdict != verdict {
					t.Errorf("packet %d at %s: %d of %d bytes, verdict %d, want %d bytes, verdict %d: % x", r.ID, r.Interface, len(r.Data), r.Length, r.Verdict, len(want), verdict, r.Data[:20])
				}
			}
			for i, r := range got {
				n := i / (2 * len(c.chain))
				place, exit := i%(2*len(c.chain))/2, i%2 == 1
				want, verdict := frames[n], int64(-1)
				if place > c.at || place == c.at && exit {
					want = tagged(want)
				}
				if exit {
					verdict = int64(xdp.Pass)
				}
				if check(r, want, verdict); r.ID != uint64(n+1) {
					t.Errorf("record %d is of packet %d, want %d", i, r.ID, n+1)
				}
			}
			atChain.Stop(t, exitSignal)
			left, _ := harness.ReadPoints(t, name)
			left = slices.DeleteFunc(left, func(r harness.Captured) bool { return r.Length < 8000 })
			if len(left) != 1 || left[0].Interface != v.Name+":"+c.main+"()@fexit" {
				t.Fatalf("at the chain %+v", left)
			}
			check(left[0], tagged(frames[2]), int64(xdp.Pass))
		})
	}
}

// While others change the chain, each packet's points are those of one of the chains. A trace that
// is killed leaves no probe.
func TestWriteChanges(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 2)
	name := filepath.Join(t.TempDir(), "changes.pcapng")
	p := harness.Start(t, xdpmux, "trace", v.Name, "--print", "-w", name, "--at", "programs")
	pass := packet()
	p.Stdout.LineWhile(t, 50*time.Millisecond, func() { v.Deliver(t, pass) })
	for range harness.Scaled(50, 2) {
		harness.MustRun(t, xdpmux, "load", v.Name, samples+"xdp_count.o@prio=1")
		shown(t, p, v, "xdp_count XDP_PASS")
		harness.MustRun(t, xdpmux, "unload", v.Name, "--name", "xdp_count")
		shown(t, p, v, ": step0 XDP_PASS, step1")
	}
	p.Stop(t, exitSignal)
	packets, points := harness.ReadPoints(t, name)
	ways := map[uint64][]string{}
	for _, c := range packets {
		ways[c.ID] = append(ways[c.ID], strings.TrimPrefix(c.Interface, v.Name+":"))
	}
	seen := map[string]int{}
	for _, way := range ways {
		seen[strings.Join(way, " ")]++
	}
	const two = "step0()@fentry step0()@fexit step1()@fentry step1()@fexit"
	const three = "step0()@fentry step0()@fexit xdp_count()@fentry xdp_count()@fexit step1()@fentry step1()@fexit"
	const first = "xdp_count()@fentry xdp_count()@fexit " + two
	if len(seen) != 2 || seen[two] == 0 || seen[three]+seen[first] == 0 {
		t.Errorf("ways %v", seen)
	}
	if len(points) != 6 { // by their names
		t.Errorf("points %v", points)
	}

	killed := harness.Start(t, xdpmux, "trace", v.Name, "--print", "-w", "/dev/null", "--at", "programs")
	killed.Stdout.LineWhile(t, 50*time.Millisecond, func() { v.Deliver(t, pass) })
	killed.Signal(t, syscall.SIGKILL)
	<-killed.Ended()
	if out := harness.MustRun(t, "bpftool", "prog", "list"); strings.Contains(out, ": tracing ") {
		t.Errorf("a probe is left:\n%s", out)
	}
}

// shown delivers packets until a line of a trace has these words.
func shown(t *testing.T, p *harness.Process, v *harness.Veth, words string) {
	t.Helper()
	for !strings.Contains(p.Stdout.LineWhile(t, 20*time.Millisecond, func() { v.Deliver(t, packet()) }), words) {
	}
}

// TestWriteAsXdpdump has xdpdump and trace capture the same packets at the programs of chains. Points have the
// same names, and the same packets with the same verdicts.
func TestWriteAsXdpdump(t *testing.T) {
	for _, c := range []struct {
		xdpdump  string
		programs int
	}{{"xdpdump", 1}, {"xdpdump", 10}, {harness.NativeXdpdump(t, "sid"), 2}} {
		t.Run(fmt.Sprint(c.xdpdump, " ", c.programs), func(t *testing.T) {
			harness.NoLeak(t)
			v := harness.NewVeth(t)
			stepsOn(t, v, c.programs)
			v.Deliver(t, packet()) // its sockets stay
			frames := [][]byte{packet(), packet(xdp.Drop), append(packet(xdp.Pass, xdp.Drop), make([]byte, 500)...)}
			dir := t.TempDir()
			files := []string{filepath.Join(dir, "native.pcapng"), filepath.Join(dir, "ours.pcapng")}
			args := []string{"-i", v.Name, "--rx-capture", "entry,exit", "-w", files[0]}
			if c.programs > 1 { // else it attaches to the one twice, and fails
				args = append(args, "-p", "all")
			}
			native := harness.Start(t, c.xdpdump, args...)
			if !native.Stderr.Until(t, func(all string) bool { return strings.Contains(all, "listening on") }) {
				t.Fatalf("xdpdump: %s", native.Stderr)
			}
			ours := harness.Start(t, xdpmux, "trace", v.Name, "--at", "programs", "--count", fmt.Sprint(len(frames)), "-w", files[1])
			ours.Stderr.Line(t) // it captures
			v.Deliver(t, frames...)
			ours.End(t, 0)
			native.Stop(t, syscall.SIGINT)

			var points [2]map[string][]string
			for i, file := range files {
				packets, names := harness.ReadPoints(t, file)
				points[i] = map[string][]string{}
				for name := range names {
					points[i][name] = nil
				}
				for _, c := range packets {
					points[i][c.Interface] = append(points[i][c.Interface], fmt.Sprintf("verdict %d, %d bytes: %x", c.Verdict, c.Length, c.Data))
				}
			}
			if c.programs > 1 { // what --at chain and --at arrival call them
				for _, side := range []string{"fentry", "fexit"} {
					name := v.Name + ":xdp_dispatcher()@" + side
					if len(points[0][name]) != len(frames) {
						t.Errorf("xdpdump has %d packets at %s: %v", len(points[0][name]), name, points[0])
					}
					delete(points[0], name)
				}
			}
			if len(points[1]) != 2*c.programs {
				t.Errorf("%d points", len(points[1]))
			}
			if diff := cmp.Diff(points[0], points[1]); diff != "" {
				t.Errorf("(-xdpdump +ours):\n%s", diff)
			}
		})
	}
}
