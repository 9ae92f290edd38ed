package command

import (
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

// TestHashSample has the sample xdp_rx_hash count what the driver says: on kernels that don't let
// it ask, it counts packets all the same.
func TestHashSample(t *testing.T) {
	v := chainOf(t, harness.Sample("xdp_rx_hash"))
	frame := harness.UDP4(harness.Flow{})
	v.Deliver(t, frame, frame)
	var dump struct {
		Entries []struct {
			Value struct {
				Packets, Hashed int
				LastHash        uint32 `json:"last_hash"`
			}
		}
	}
	decode(t, harness.MustRun(t, harness.Xdpmux(), "map", "dump", "--json", v.Name, "hashes"), &dump)
	want := 2
	if harness.KernelBefore(t, "6.3") {
		want = 0
	}
	if got := dump.Entries[0].Value; got.Packets != 2 || got.Hashed != want || got.LastHash != 0 != (want > 0) {
		t.Errorf("%+v, want 2 packets, and a hash of %d", got, want)
	}
}
