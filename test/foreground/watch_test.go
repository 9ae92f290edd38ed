package foreground

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

// TestWatch runs an example that was built as a module of its own, from what a clone of
// this repository has, without make: it needs xdpmux's own dispatcher for a program that
// changes packet data, and the probes to count and to trace.
func TestWatch(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	p := startExample(t, "../../build/module/watch", v.Name, harness.Fixture("movehead"), harness.Sample("xdp_count"))
	const sent = 3
	frame := harness.UDP4(harness.Flow{PayloadLen: 64})
	var want strings.Builder
	fmt.Fprintf(&want, "watching %s\n", v.Name)
	for range sent {
		if got := v.Deliver(t, frame); len(got) != 1 || len(got[0]) != len(frame)-4 {
			t.Errorf("%d frames, want one without its first four bytes", len(got))
		}
		p.Stdout.Line(t)
		fmt.Fprintf(&want, "%d bytes: xdp_count XDP_PASS, move_head XDP_PASS\n", len(frame)-4)
	}
	p.Stop(t, syscall.SIGINT)
	fmt.Fprintf(&want, "xdp_dispatcher: %d packets\nxdp_count: %[1]d packets\nmove_head: %[1]d packets\n", sent)
	if got := p.Stdout.String(); got != want.String() {
		t.Errorf("it prints\n%swant\n%s", got, want.String())
	}
	if got := harness.Programs(t, v); got != "" {
		t.Errorf("left behind: %s", got)
	}
}
