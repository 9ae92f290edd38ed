package drivers

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/test/harness"
)

// way is an interface with the way that packets take to it.
type way struct {
	ifname string
	mode   string
	in     *harness.Capture
	send   func(frames ...[]byte)
	flow   harness.Flow // of frames that the interface takes in
}

// frames are n of the flow, none like another.
func (w way) frames(n int) (all [][]byte) {
	w.flow.PayloadLen = max(w.flow.PayloadLen, 40) // a card fills shorter ones up
	for i := range n {
		w.flow.Payload = []byte(fmt.Sprint("frame ", i))
		all = append(all, harness.UDP4(w.flow))
	}
	return all
}

// arrive fails the test unless all frames come in that are sent.
func (w way) arrive(t *testing.T) {
	t.Helper()
	frames := w.frames(9)
	got := w.in.While(t, frames[8], func() { w.send(frames...) })
	if len(got) != 8 {
		t.Errorf("%d of 8 frames come in", len(got))
	}
}

// road takes a chain from its first program to its end: packets go through one program, through
// two, through ten, and each tells so.
func (w way) road(t *testing.T) {
	pass, count := harness.Sample("xdp_pass"), harness.Sample("xdp_count")
	t.Cleanup(func() { harness.Run(t, ours, "unload", "-a", w.ifname) })
	w.loaded(t, 1, pass)
	w.loaded(t, 2, "-P", "10", count)
	w.loaded(t, 10, "-P", "60", pass, pass, pass, pass, pass, pass, pass, pass)

	// Each packet goes through all ten, as trace and stats see it, both at once.
	trace := harness.Start(t, ours, "trace", "--live", "--json", w.ifname)
	stats := harness.Start(t, ours, "stats", "--json", "--interval", "100ms", w.ifname)
	var packet struct {
		Steps []struct{ Name string }
	}
	decode(t, w.lineOf(t, trace, func(string) bool { return true }), &packet)
	if len(packet.Steps) != 10 || packet.Steps[0].Name != "xdp_count" {
		t.Errorf("trace: %+v", packet)
	}
	w.lineOf(t, stats, func(line string) bool {
		var report struct {
			Chains []struct {
				Programs []struct {
					Role    string
					Packets int
				}
			}
		}
		decode(t, line, &report)
		seen := 0
		for _, p := range report.Chains[0].Programs {
			if p.Role == "component" && p.Packets > 0 {
				seen++
			}
		}
		return seen == 10
	})

	harness.MustRun(t, ours, "set", w.ifname, "--name", "xdp_count", "--prio", "99")
	c := w.shown(t, 10)
	if last := c.Programs[9]; last.Name != "xdp_count" || last.Priority != 99 {
		t.Errorf("set: the last program is %+v", last)
	}
	w.arrive(t)
	harness.MustRun(t, ours, "unload", w.ifname, "-i", fmt.Sprint(c.Programs[0].ID))
	w.shown(t, 9)
	w.arrive(t)
	harness.MustRun(t, ours, "unload", "-a", w.ifname)
	w.shown(t, 0)
	w.arrive(t)
}

// loaded loads programs, and fails the test unless the chain has n then and lets packets pass.
func (w way) loaded(t *testing.T, n int, args ...string) {
	t.Helper()
	if said := load(t, w.ifname, append([]string{"-m", w.mode}, args...)...); said != "" {
		t.Errorf("load of %d: %s", n, said)
	}
	w.shown(t, n)
	w.arrive(t)
}

// shown fails the test unless both tools show the same chain of n programs.
func (w way) shown(t *testing.T, n int) *dispatcher.Chain {
	t.Helper()
	if said := statusOf(t, w.ifname); said != "" {
		t.Errorf("status: %s", said)
	}
	c := harness.Status(t, w.ifname)
	if len(c.Programs) != n || n > 0 && c.Mode.String() != w.mode {
		t.Fatalf("%d programs in %v mode, want %d in %s mode", len(c.Programs), c.Mode, n, w.mode)
	}
	return c
}

// lineOf sends packets until the command has printed a line that is wanted, and ends it.
func (w way) lineOf(t *testing.T, p *harness.Process, wanted func(line string) bool) string {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		line := p.Stdout.LineWhile(t, 10*time.Millisecond, func() { w.send(w.frames(1)...) })
		if wanted(line) {
			p.Stop(t, os.Interrupt)
			return line
		}
	}
	t.Fatalf("%v prints no line that is wanted", p)
	return ""
}

// wayTo is the way to the first of two cards.
func wayTo(t *testing.T, c *harness.Cards, mode string) way {
	return way{c.Name, mode, harness.NewCapture(t, c.Name),
		func(frames ...[]byte) { c.Send(t, frames...) }, harness.Flow{DstMAC: c.MAC}}
}

func TestCards(t *testing.T) {
	eachCards(t, true, func(t *testing.T, kind string, says cell) {
		c := harness.NewCards(t, kind)
		t.Run("queues", func(t *testing.T) { queues(t, c, kind) })
		t.Run("road", func(t *testing.T) { wayTo(t, c, "native").road(t) })
		t.Run("refused MTU", func(t *testing.T) { refusedMTU(t, c, says) })
		t.Run("lost packets", func(t *testing.T) { lostPackets(t, c, kind, says) })
	})
	eachCards(t, false, func(t *testing.T, kind string, _ cell) {
		w := wayTo(t, harness.NewCards(t, kind), "skb")
		w.withoutNative(t)
		w.loaded(t, 1, harness.Sample("xdp_pass"))
		harness.MustRun(t, ours, "unload", "-a", w.ifname)
	})
}

// A VLAN has no XDP of its own.
func TestVLAN(t *testing.T) {
	if !harness.HasCards("virtio_net") {
		return
	}
	harness.NoLeak(t)
	w := wayTo(t, harness.NewCards(t, "virtio_net"), "native").vlan(t)
	if says := page(t, "8021q"); says.native {
		t.Errorf("docs/drivers.md: %+v", says)
	}
	w.withoutNative(t)
	w.road(t)
}

// vlan is the way to a VLAN on the interface, in skb mode.
func (w way) vlan(t *testing.T) way {
	t.Helper()
	harness.MustRun(t, "ip", "link", "add", "tagged", "link", w.ifname, "type", "vlan", "id", "7")
	t.Cleanup(func() { harness.MustRun(t, "ip", "link", "del", "tagged") })
	harness.StartInterface(t, "tagged")
	send := w.send
	w.ifname, w.mode, w.in = "tagged", "skb", harness.NewCapture(t, "tagged")
	w.send = func(frames ...[]byte) {
		for _, f := range frames {
			send(append(append(append([]byte{}, f[:12]...), 0x81, 0, 0, 7), f[12:]...))
		}
	}
	return w
}

// withoutNative fails the test unless the driver of the interface has no native XDP.
func (w way) withoutNative(t *testing.T) {
	t.Helper()
	_, said, status := harness.Run(t, ours, "load", w.ifname, harness.Sample("xdp_pass"))
	if status != 1 || !strings.Contains(said, "-m skb") {
		t.Errorf("load in native mode: exit status %d\n%s", status, said)
	}
}
