package observe

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

var (
	passFrags = xdp.Program{File: "../../build/bpf/fixtures/frags.o", Priority: xdp.Prio(1), Actions: xdp.On(xdp.Pass)}
	trim      = xdp.Program{File: "../../build/bpf/fixtures/trim.o", Priority: xdp.Prio(2)}
)

// Packets in several buffers, and programs that change their length, also in the
// dispatcher's own place: trim adds 100 bytes to 42, and takes 1000 from the others.
func TestLengths(t *testing.T) {
	for _, c := range []struct {
		name     string
		programs []xdp.Program
		way      string
	}{
		{"alone", []xdp.Program{trim}, "trim XDP_PASS => XDP_PASS by trim"},
		{"last of two", []xdp.Program{passFrags, trim}, "pass_frags XDP_PASS, trim XDP_PASS => XDP_PASS by trim"},
	} {
		t.Run(c.name, func(t *testing.T) { testLengths(t, c.programs, c.way) })
	}
}

func testLengths(t *testing.T, programs []xdp.Program, way string) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	attach(t, v, programs...)
	var frames [][]byte
	var lines []string
	for i, size := range []int{42, 3000, 9000} { // the last in several buffers
		frames = append(frames, harness.UDP4(harness.Flow{PayloadLen: size - 42}))
		lines = append(lines, fmt.Sprintf("%d  IPv4 UDP %s, %d bytes: %s", i+1, c4, size, way))
	}
	after := []int{142, 2000, 8000}

	out := filepath.Join(t.TempDir(), "out")
	stdout := harness.MustRun(t, xdpmux, "trace", v.Name, "--pcap", harness.WritePcap(t, layers.LinkTypeEthernet, frames...), "--out", out)
	if want := strings.Join(lines, "\n"); !strings.HasPrefix(stdout, want+"\n") {
		t.Errorf("got\n%s\nwant\n%s", stdout, want)
	}
	left := harness.ReadPcapng(t, filepath.Join(out, "XDP_PASS.pcapng"))
	for i, want := range after {
		if len(left) != len(after) || len(left[i]) != want {
			t.Fatalf("packet %d of %d has %d bytes, want %d", i+1, len(left), len(left[i]), want)
		}
		if same := min(want, len(frames[i])); string(left[i][:same]) != string(frames[i][:same]) {
			t.Errorf("packet %d is not what was sent", i+1)
		}
	}

	o := open(t, observe.Options{}, v.Name)
	defer o.Close()
	l := live(t, v, observe.LiveOptions{})
	defer l.Close()
	d := dispatcherOf(t, v)
	for i, frame := range frames {
		testRun(t, v, d, frame, 1)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		trace, err := l.Next(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		// The first buffer of a test run has 3520 bytes.
		if want := min(after[i], 3520); trace.Length != after[i] || len(trace.Data) != want || string(trace.Data[:42]) != string(frame[:42]) {
			t.Errorf("live: %d of %d bytes, want %d of %d", len(trace.Data), trace.Length, want, after[i])
		}
	}
	for _, frame := range frames {
		testRun(t, v, d, frame, 999)
	}
	for _, p := range o.Read().Chains[0].Programs {
		if p.Packets != 3000 || p.Verdicts[xdp.Pass] != 3000 || p.Missed != 0 {
			t.Errorf("%s: %+v, want 3000 that passed", p.Name, p.Counts)
		}
	}
}
