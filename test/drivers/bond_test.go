package drivers

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/test/harness"
)

// bond makes a bond of two veths, and the way to it over the first.
func bond(t *testing.T) (w way, ports []*harness.Veth) {
	t.Helper()
	harness.MustRun(t, "modprobe", "bonding", "max_bonds=0")
	ports = []*harness.Veth{harness.NewVeth(t), harness.NewVeth(t)}
	harness.MustRun(t, "ip", "link", "add", "bonded", "type", "bond", "mode", "active-backup")
	t.Cleanup(func() { harness.MustRun(t, "ip", "link", "del", "bonded") })
	for _, v := range ports {
		harness.MustRun(t, "ip", "link", "set", v.Name, "down")
		harness.MustRun(t, "ip", "link", "set", v.Name, "master", "bonded")
	}
	mac := harness.StartInterface(t, "bonded").HardwareAddr
	return way{"bonded", "native", harness.NewCapture(t, "bonded"), func(frames ...[]byte) {
		for _, f := range frames {
			ports[0].Send(t, f)
		}
	}, harness.Flow{DstMAC: mac}}, ports
}

// A bond runs programs in its ports. Kernels keep each program that was replaced on one, for good
// and whoever replaces it: that is no leak of ours if the native tool has the same.
func TestBonding(t *testing.T) {
	says := page(t, "bonding")
	before := harness.Snapshot(t)
	t.Run("road", func(t *testing.T) {
		w, _ := bond(t)
		w.road(t)

		// A VLAN on it has a chain of its own, behind that of the bond.
		w.loaded(t, 2, harness.Sample("xdp_pass"), harness.Sample("xdp_pass"))
		vlan := w.vlan(t)
		vlan.loaded(t, 1, harness.Sample("xdp_pass"))
		for _, ifname := range []string{vlan.ifname, w.ifname} {
			harness.MustRun(t, ours, "unload", "-a", ifname)
		}
	})
	// Of the road's, three loads after the first, a set and an unload are replaced.
	kept := map[string]int{"the road": dispatchersSince(t, before)}
	want := map[string]int{"the road": 0, "xdp-loader": 0, "xdpmux": 0}
	if says.keeps {
		want = map[string]int{"the road": 4, "xdp-loader": 2, "xdpmux": 2}
	}
	for name, tool := range map[string]string{"xdp-loader": "xdp-loader", "xdpmux": ours} {
		before := harness.Snapshot(t)
		t.Run(name, func(t *testing.T) {
			w, _ := bond(t)
			for range 3 {
				harness.MustRun(t, tool, "load", w.ifname, harness.Sample("xdp_pass"))
			}
			harness.MustRun(t, tool, "unload", w.ifname, "-a")
		})
		kept[name] = dispatchersSince(t, before)
	}
	if fmt.Sprint(kept) != fmt.Sprint(want) {
		t.Errorf("dispatchers that stay loaded: %v, want %v, as docs/drivers.md says %+v", kept, want, says)
	}
}

// A trace of a bond shows what comes in on each of its ports.
func TestTraceBond(t *testing.T) {
	before := harness.Snapshot(t)
	t.Run("trace", func(t *testing.T) {
		w, ports := bond(t)
		harness.MustRun(t, ours, "load", w.ifname, harness.Sample("xdp_drop"))
		p := harness.Start(t, ours, "trace", w.ifname)
		frame := func(length int) []byte { return append(w.frames(1)[0], make([]byte, length)...)[:length] }
		p.Stdout.LineWhile(t, 50*time.Millisecond, func() { w.send(frame(100)) })
		for i, v := range ports {
			v.Send(t, frame(201+i))
		}
		if !p.Stdout.Until(t, func(all string) bool {
			return strings.Contains(all, ", 201 bytes: ") && strings.Contains(all, ", 202 bytes: ")
		}) {
			t.Errorf("not of both ports:\n%s", p.Stdout)
		}
		p.Stop(t, syscall.SIGTERM)
		harness.MustRun(t, ours, "unload", "-a", w.ifname)
	})
	dispatchersSince(t, before) // the kernel's, see TestBonding
}

// dispatchersSince is how many dispatchers are loaded that weren't before. It fails the test if
// anything else is left but the map of each.
func dispatchersSince(t *testing.T, before harness.State) (n int) {
	t.Helper()
	maps := 0
	left := before.Diff(harness.Snapshot(t))
	for _, thing := range left {
		switch {
		case strings.HasPrefix(thing, "new: program ") && strings.HasSuffix(thing, " xdp_dispatcher"):
			n++
		case strings.HasPrefix(thing, "new: map "):
			maps++
		}
	}
	if maps != n || len(left) != maps+n {
		t.Errorf("left: %q", left)
	}
	harness.KeptByKernel(left)
	return n
}
