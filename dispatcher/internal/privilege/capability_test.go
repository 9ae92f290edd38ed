package privilege

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzCapabilities reads /proc/PID/status. What can't be read has all capabilities, and
// the kernel will tell.
func FuzzCapabilities(f *testing.F) {
	f.Add("Name:\txdpmux\nCapInh:\t0000000000000000\nCapEff:\t000001ffffffffff\n")
	f.Add("CapEff:\t0\n")
	f.Add("CapEff:\tnone\n")
	f.Fuzz(func(t *testing.T, status string) {
		got := capabilitiesIn(status)
		if !strings.Contains(status, "CapEff:") && got != ^capabilities(0) {
			t.Errorf("%x without a line CapEff", got)
		}
		if other := capabilitiesIn("Name:\tx\n" + status); other != got {
			t.Errorf("%x, and %x behind another line", got, other)
		}
	})
}

func TestMissingCapabilities(t *testing.T) {
	status := func(set uint64) string { return fmt.Sprintf("Name:\tx\nCapPrm:\t0\nCapEff:\t%016x\nCapBnd:\t0\n", set) }
	for _, c := range []struct {
		set  uint64
		want string
	}{
		{^uint64(0), ""},
		{0, "CAP_NET_ADMIN CAP_BPF CAP_PERFMON"},
		{1 << 12, "CAP_BPF CAP_PERFMON"},
		{1<<12 | 1<<39, "CAP_PERFMON"},
		{1<<12 | 1<<38 | 1<<39, ""},
		{1 << 21, "CAP_NET_ADMIN"},
	} {
		if diff := cmp.Diff(c.want, strings.Join(capabilitiesIn(status(c.set)).missing(), " ")); diff != "" {
			t.Errorf("%x (-want +got):\n%s", c.set, diff)
		}
	}
}
