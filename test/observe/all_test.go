package observe

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/test/harness"
)

// Without names all interfaces are observed, also those that come when there was none.
func TestAllInterfaces(t *testing.T) {
	harness.NoLeak(t)
	o := open(t, observe.Options{})
	defer o.Close()
	packets := func(v *harness.Veth, name string) (uint64, bool) {
		for _, c := range o.Read().Chains {
			for _, p := range c.Programs {
				if c.Interface.Index == v.Index && p.Name == name && p.Blind == nil {
					return p.Packets, true
				}
			}
		}
		return 0, false
	}
	observed := func(v *harness.Veth, name string) {
		t.Helper()
		if !harness.Eventually(func() bool { _, found := packets(v, name); return found }) {
			t.Fatalf("%s on %s isn't observed", name, v.Name)
		}
	}
	if s := o.Read(); len(s.Chains) != 0 {
		t.Errorf("chains where none is: %+v", s.Chains)
	}
	first, second := harness.NewVeth(t), harness.NewVeth(t)
	stepsOn(t, first, 2)
	observed(first, "step1")
	harness.MustRun(t, "xdp-loader", "load", second.Name, samples+"xdp_pass.o")
	observed(second, "xdp_pass")
	frames := make([][]byte, 100)
	for i := range frames {
		frames[i] = packet()
	}
	first.Deliver(t, frames...)
	second.Deliver(t, frames[:30]...)
	for _, c := range []struct {
		on   *harness.Veth
		name string
		want uint64
	}{{first, "step0", 100}, {first, "step1", 100}, {first, "xdpmux_dispatcher", 100}, {second, "xdp_pass", 30}} {
		if c.name == "xdpmux_dispatcher" {
			c.name = o.Read().Chains[0].Programs[0].Name
		}
		if n, found := packets(c.on, c.name); n != c.want {
			t.Errorf("%s on %s: %d packets, %v, want %d", c.name, c.on.Name, n, found, c.want)
		}
	}
	// An interface that goes leaves the others alone.
	second.Close(t)
	first.Deliver(t, frames...)
	if n, _ := packets(first, "step0"); n != 200 {
		t.Errorf("step0: %d packets, want 200", n)
	}
}

// Nothing that the kernel allows ends the server, or makes it give a scrape that isn't one. The
// cases are: no program at all, a lone program after a chain, a name that is no text, an
// interface that is named twice, and another interface of the same name.
func TestMetricsOfAnything(t *testing.T) {
	harness.NoLeak(t)
	p, url := serve(t, "--listen", "127.0.0.1:0")
	// Whatever is going on, each scrape is one.
	until := func(want string) {
		t.Helper()
		text := ""
		if !harness.Eventually(func() bool { text = harness.Get(t, url); return strings.Contains(text, want) }) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if got := harness.Get(t, strings.TrimSuffix(url, "metrics")); !strings.Contains(got, `<a href="metrics">`) {
		t.Errorf("/: %s", got)
	}
	if got := harness.Get(t, url); strings.Contains(got, "xdpmux_chain") {
		t.Errorf("chains where none is:\n%s", got)
	}
	passes := func(name string, n int) string {
		return fmt.Sprintf("xdpmux_chain_packets_total{interface=%q,verdict=\"XDP_PASS\"} %d\n", name, n)
	}
	v := harness.NewVeth(t)
	stepsOn(t, v, 2)
	until(passes(v.Name, 0))
	v.Deliver(t, packet(), packet(), packet())
	until(passes(v.Name, 3))
	harness.MustRun(t, xdpmux, "unload", "-a", v.Name)
	if _, stderr, status := harness.RunEnv(t, []string{"LIBXDP_SKIP_DISPATCHER=1"}, xdpmux, "load", v.Name, samples+"xdp_pass.o"); status != 0 {
		t.Fatal(stderr)
	}
	until(`xdpmux_program_packets_total{id="` + fmt.Sprint(legacyOn(t, v)) + `",interface="` + v.Name)
	v.Deliver(t, packet(), packet())
	until(passes(v.Name, 5))

	// The name is no text.
	old := v.Name
	link, err := netlink.LinkByName(old)
	if err != nil {
		t.Fatal(err)
	}
	harness.MustRun(t, "ip", "link", "set", old, "down")
	v.Name = "odd\xff\xfe"
	if err := netlink.LinkSetName(link, v.Name); err != nil {
		t.Fatal(err)
	}
	until(passes("odd\ufffd", 5))
	stdout, _, status := harness.Run(t, xdpmux, "stats", v.Name, v.Name, "--prometheus", "--interval", "10ms")
	if want := passes("odd\ufffd", 0); status != 0 || strings.Count(stdout, want) != 1 {
		t.Errorf("an interface twice: status %d, %s\nwant once %s", status, stdout, want)
	}
	harness.MustRun(t, xdpmux, "unload", "-a", v.Name)

	// Another one has its old name. It is down, so that the kernel tells of no program.
	if link, err = netlink.LinkByName(v.Peer); err != nil {
		t.Fatal(err)
	}
	harness.MustRun(t, "ip", "link", "set", v.Peer, "down")
	if err := netlink.LinkSetName(link, old); err != nil {
		t.Fatal(err)
	}
	harness.MustRun(t, xdpmux, "load", old, samples+"xdp_pass.o")
	until(passes(old, 0))
	until(passes("odd\ufffd", 5))
	p.Stop(t, exitSignal)
	if said := p.Stderr.String(); strings.Count(said, "\n") != 1 {
		t.Errorf("the server said %s", said)
	}
	harness.MustRun(t, xdpmux, "unload", "-a", old)
}

func legacyOn(t *testing.T, v *harness.Veth) uint32 {
	t.Helper()
	c := harness.Status(t, v.Name)
	if c.Legacy == nil {
		t.Fatalf("no legacy program on %s: %+v", v.Name, c)
	}
	return c.Legacy.ID
}
