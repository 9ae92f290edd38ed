package observe

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// loneOn attaches the sample without a dispatcher.
func loneOn(t *testing.T, v *harness.Veth, sample string) {
	t.Helper()
	if _, stderr, status := harness.RunEnv(t, []string{"LIBXDP_SKIP_DISPATCHER=1"}, xdpmux, "load", v.Name, samples+sample+".o"); status != 0 {
		t.Fatal(stderr)
	}
	legacyOn(t, v)
}

// tagged is the frame with VLAN tag 7.
func tagged(frame []byte) []byte {
	return append(append(append([]byte{}, frame[:12]...), 0x81, 0, 0, 7), frame[12:]...)
}

// Packets are captured as they arrive, whatever the programs change or drop: before chains of one,
// two and ten, before a lone program, and where there is none. The filter sees them so, too.
func TestArrival(t *testing.T) {
	encap := xdp.Program{File: "../../build/bpf/fixtures/encap.o", Priority: xdp.Prio(1)}
	chain := func(programs ...xdp.Program) func(*testing.T, *harness.Veth) {
		return func(t *testing.T, v *harness.Veth) { attach(t, v, programs...) }
	}
	ten := []xdp.Program{encap}
	for i := range 9 {
		ten = append(ten, step(i+1, xdp.Pass))
	}
	for _, c := range []struct {
		name, point string
		prepare     func(*testing.T, *harness.Veth)
	}{
		{"none", "", func(*testing.T, *harness.Veth) {}},
		{"lone", ":xdp_drop()@fentry", func(t *testing.T, v *harness.Veth) { loneOn(t, v, "xdp_drop") }},
		{"one", ":encap()@fentry", chain(encap)},
		{"two", ":xdp_dispatcher()@fentry", chain(ten[:2]...)},
		{"ten", ":xdp_dispatcher()@fentry", chain(ten...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			harness.NoLeak(t)
			v := harness.NewVeth(t)
			c.prepare(t, v)
			udp := harness.UDP4(harness.Flow{PayloadLen: 20})
			frames := [][]byte{udp, harness.ARP(harness.Flow{}), tagged(udp), harness.TCP4(harness.Flow{}),
				harness.UDP6(harness.Flow{PayloadLen: 1300}), tagged(harness.TCP4(harness.Flow{}))}
			want := [][]byte{frames[0], frames[2], frames[4]}
			got, points := writeLive(t, v, frames, "--at", "arrival", "udp or (vlan 7 and udp)")
			for i, r := range got {
				if i >= len(want) || !bytes.Equal(r.Data, want[i]) || r.Length != len(want[i]) || r.ID != uint64(i+1) || r.Verdict != -1 || r.Queue != 0 || r.Interface != v.Name+c.point {
					t.Errorf("record %d: %+v", i+1, r)
				}
			}
			s := points[v.Name+c.point]
			if len(got) != len(want) || len(points) != 1 || s.Received < s.Delivered+3 || s.Lost != 0 {
				t.Errorf("%d records, points %+v", len(got), points)
			}
			if c.name != "none" {
				return
			}
			short, _ := writeLive(t, v, frames[2:3], "--at", "arrival", "--snaplen", "14") // ends in the tag
			if len(short) != 1 || !bytes.Equal(short[0].Data, frames[2][:14]) || short[0].Length != len(frames[2]) {
				t.Errorf("with --snaplen 14: %+v", short)
			}
		})
	}
}

// A packet that arrives is captured once, also while a program comes and goes.
func TestArrivalComesAndGoes(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	name := filepath.Join(t.TempDir(), "arrivals.pcapng")
	p := harness.Start(t, xdpmux, "trace", v.Name, "--at", "arrival", "--print", "-w", name)
	sent := uint64(0)
	next := func(length int) []byte {
		sent++
		frame := append(packet(), make([]byte, length-64)...)
		binary.BigEndian.PutUint64(frame[20:], sent)
		return frame
	}
	p.Stdout.LineWhile(t, 50*time.Millisecond, func() { v.Deliver(t, next(64)) })
	steady := map[uint64]bool{}
	deliver := func() {
		var frames [][]byte
		for range 20 {
			frames = append(frames, next(100))
			steady[sent] = true
		}
		v.Deliver(t, frames...)
	}
	// until has packets come while the command runs, and on until the trace has said so often where they
	// are captured.
	until := func(says string, times int, args ...string) {
		t.Helper()
		command := harness.Start(t, xdpmux, args...)
		for running := true; running; {
			select {
			case <-command.Ended():
				running = false
			default:
				v.Deliver(t, next(64))
			}
		}
		command.End(t, 0)
		if !harness.Eventually(func() bool { v.Deliver(t, next(64)); return strings.Count(p.Stderr.String(), says) == times }) {
			t.Fatalf("it doesn't say %q: %s", says, p.Stderr)
		}
	}
	deliver()
	until("has an XDP program now: captures what comes to xdp_pass", 1, "load", v.Name, samples+"xdp_pass.o")
	deliver()
	harness.MustRun(t, xdpmux, "load", v.Name, samples+"xdp_drop.o")
	if !harness.Eventually(func() bool { v.Deliver(t, next(300)); return strings.Contains(p.Stdout.String(), " 300 bytes") }) {
		t.Fatal("nothing is captured at the dispatcher of two")
	}
	until(v.Name+" has no XDP program: captures what a packet socket gets", 2, "unload", v.Name, "--all")
	deliver()
	p.Stop(t, exitSignal)

	packets, points := harness.ReadPoints(t, name)
	seen := map[uint64]int{}
	for _, c := range packets {
		n := binary.BigEndian.Uint64(c.Data[20:])
		if seen[n]++; seen[n] > 1 {
			t.Errorf("packet %d is there %d times, now from %s", n, seen[n], c.Interface)
		}
		delete(steady, n)
	}
	if len(steady) > 0 {
		t.Errorf("not there: %v of %d", steady, sent)
	}
	var names []string
	for name, s := range points {
		names = append(names, strings.TrimPrefix(name, v.Name))
		if s.Delivered == 0 || s.Received < s.Delivered {
			t.Errorf("%s: %+v", name, s)
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"", ":xdp_dispatcher()@fentry", ":xdp_pass()@fentry"}) {
		t.Errorf("points %q", names)
	}
}

// A lone program is captured as it is in a chain: as packets come to it and as they leave it, with its
// verdict.
func TestWriteLone(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	loneOn(t, v, "xdp_drop")
	frame := packet()
	for at, want := range map[string][]string{
		"programs": {"xdp_drop()@fentry -1", "xdp_drop()@fexit 1"},
		"chain":    {"xdp_drop()@fexit 1"},
	} {
		got, _ := writeLive(t, v, [][]byte{frame}, "--at", at)
		var points []string
		for _, r := range got {
			points = append(points, fmt.Sprintf("%s %d", strings.TrimPrefix(r.Interface, v.Name+":"), r.Verdict))
			if !bytes.Equal(r.Data, frame) || r.ID != 1 {
				t.Errorf("%s: %+v", at, r)
			}
		}
		if !slices.Equal(points, want) {
			t.Errorf("%s: %q", at, points)
		}
	}
}
