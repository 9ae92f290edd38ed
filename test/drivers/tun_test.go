package drivers

import (
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/xdpmux/xdpmux/test/harness"
)

// newTap makes a tap interface, that a process feeds with frames.
func newTap(t *testing.T) (ifname string, send func(frames ...[]byte)) {
	t.Helper()
	harness.MustRun(t, "modprobe", "tun")
	tap := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "fed"}, Mode: netlink.TUNTAP_MODE_TAP,
		Flags: netlink.TUNTAP_NO_PI, Queues: 1, NonPersist: true}
	if err := netlink.LinkAdd(tap); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tap.Fds[0].Close() }) // the interface goes with it
	return tap.Name, func(frames ...[]byte) {
		for _, f := range frames {
			if _, err := tap.Fds[0].Write(f); err != nil {
				t.Fatalf("send %d bytes: %v", len(f), err)
			}
		}
	}
}

func TestTun(t *testing.T) {
	says := page(t, "tun")
	harness.NoLeak(t)
	ifname, send := newTap(t)
	mac := harness.StartInterface(t, ifname).HardwareAddr
	w := way{ifname, mode(says), harness.NewCapture(t, ifname), send, harness.Flow{DstMAC: mac}}
	w.road(t)

	// It takes a chain without frags support at any MTU, and runs it as skb mode does on what
	// fills more than a page.
	if says.limit != 0 {
		t.Errorf("docs/drivers.md: %+v", says)
	}
	harness.MustRun(t, "ip", "link", "set", ifname, "mtu", "9000")
	w.loaded(t, 1, harness.Sample("xdp_pass"))
	w.flow.PayloadLen = 9000 - 28
	w.arrive(t)
	if above, _ := lossOf(t, ifname); above != 0 {
		t.Errorf("packets of more than %d bytes are lost", above)
	}
	harness.MustRun(t, ours, "unload", "-a", ifname)
}

// mode is that in which a driver runs programs.
func mode(says cell) string {
	if says.native {
		return "native"
	}
	return "skb"
}
