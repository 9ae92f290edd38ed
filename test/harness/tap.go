package harness

import (
	"fmt"
	"os/exec"
	"testing"

	"github.com/vishvananda/netlink"
)

// NewTap returns the name of a tap interface that nobody reads. Its driver runs XDP programs, and
// has no metadata of packets for them.
func NewTap(t testing.TB) string { return newTuntap(t, netlink.TUNTAP_MODE_TAP) }

// NewTun returns the name of an interface whose packets are no Ethernet frames.
func NewTun(t testing.TB) string { return newTuntap(t, netlink.TUNTAP_MODE_TUN) }

func newTuntap(t testing.TB, mode netlink.TuntapMode) string {
	t.Helper()
	_ = exec.Command("modprobe", "tun").Run() // it may be built in
	attrs := netlink.NewLinkAttrs()
	attrs.Name = fmt.Sprintf("xm%dt", vethCount.Add(1)-1)
	tap := &netlink.Tuntap{LinkAttrs: attrs, Mode: mode}
	if err := netlink.LinkAdd(tap); err != nil {
		t.Fatalf("add %s: %v", attrs.Name, err)
	}
	t.Cleanup(func() {
		if err := netlink.LinkDel(tap); err != nil {
			t.Errorf("remove %s: %v", attrs.Name, err)
		}
	})
	if err := netlink.LinkSetUp(tap); err != nil {
		t.Fatal(err)
	}
	return attrs.Name
}
