package rehearse

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestMany rehearses 20,000 packets in less than ten times what trace --pcap takes: the best
// of a few runs, for others share the processors.
func TestMany(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	attach(t, v.Name, xdp.Program{File: object(harness.Sample("xdp_count"))}, xdp.Program{File: object(harness.Sample("xdp_drop_ipv6_count"))}, fixture("policy"))
	frames := make([][]byte, 20_000)
	for i := range frames {
		switch i % 3 {
		case 0:
			frames[i] = harness.UDP6(harness.Flow{SrcPort: uint16(i)})
		case 1:
			frames[i] = harness.TCP4(harness.Flow{SrcPort: uint16(i)})
		default:
			frames[i] = packet(inArray, byte(i))
		}
	}
	pcap := harness.WritePcap(t, layers.LinkTypeEthernet, frames...)
	took := func(status int, args ...string) time.Duration {
		out, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		cmd := exec.Command(harness.Xdpmux(), args...)
		cmd.Stdout = out
		begun := time.Now()
		if err := cmd.Run(); cmd.ProcessState.ExitCode() != status {
			t.Fatalf("%v: %v", args, err)
		}
		return time.Since(begun)
	}
	const limit = 10.
	best := limit
	for run := 0; run < 3 && best >= limit; run++ {
		trace := took(0, "trace", v.Name, "--pcap", pcap)
		rehearsal := took(2, "unload", v.Name, "--name", "xdp_drop_ipv6_count", "--dry-run", "--pcap", pcap)
		best = min(best, rehearsal.Seconds()/trace.Seconds())
		t.Logf("figure: 20,000 packets: a rehearsal %v, trace --pcap %v", rehearsal, trace)
	}
	if best >= limit {
		t.Errorf("a rehearsal takes %.1f times what trace --pcap takes, want less than %.0f", best, limit)
	}
}
