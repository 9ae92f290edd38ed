package drivers

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/check"
	"github.com/xdpmux/xdpmux/test/harness"
)

// checked is what check says of one thing of an interface.
func checked(t *testing.T, ifname, name string) check.Check {
	t.Helper()
	var checks []check.Check
	stdout, _, _ := harness.Run(t, ours, "check", "--json", ifname) // its status is 1 if no chain can run
	decode(t, stdout, &checks)
	return checks[slices.IndexFunc(checks, func(c check.Check) bool { return c.Name == name })]
}

// check says of queues what virtio_net says to the kernel's log alone, when a program is loaded for
// the first time.
func queues(t *testing.T, c *harness.Cards, kind string) {
	wanting := func(remedy string) {
		t.Helper()
		q := checked(t, c.Name, "queues")
		if (q.State == check.Limited) != (remedy != "") || q.Remedy != remedy {
			t.Errorf("%+v, want %q", q, remedy)
		}
		logged := strings.Count(harness.MustRun(t, "dmesg"), "XDP request ")
		load(t, c.Name, harness.Sample("xdp_pass"))
		harness.MustRun(t, ours, "unload", "-a", c.Name)
		if warned := strings.Count(harness.MustRun(t, "dmesg"), "XDP request ") > logged; warned != (remedy != "") {
			t.Errorf("the driver has warned: %v, and check says %+v", warned, q)
		}
	}
	switch kind {
	case "virtio_net": // one queue, two processors
		wanting("have the hypervisor give the card 3 queues or more")
	case "virtio_net-queues": // four queues, of which two are used
		wanting("")
		harness.MustRun(t, "ethtool", "-L", c.Name, "combined", "4")
		wanting(fmt.Sprintf("ethtool -L %s combined 2 makes room for them", c.Name))
		harness.MustRun(t, "ethtool", "-L", c.Name, "combined", "2")
	default:
		wanting("")
	}
}
