package drivers

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/check"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/test/harness"
)

// packet is one of so many bytes, without the Ethernet header, for a card.
func packet(c *harness.Cards, size int) []byte {
	return harness.UDP4(harness.Flow{DstMAC: c.MAC, PayloadLen: size - 28})
}

// gets fails the test unless packets of exactly these sizes come through.
func gets(t *testing.T, c *harness.Cards, sizes map[int]bool) {
	t.Helper()
	var frames [][]byte
	want := map[int]bool{}
	for size, passes := range sizes {
		frames = append(frames, packet(c, size))
		if passes {
			want[size] = true
		}
	}
	got := map[int]bool{}
	for _, f := range c.Deliver(t, packet(c, 64), frames...) {
		got[len(f)-14] = true
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("packets of %v bytes come through, want %v", got, want)
	}
}

// statusOf fails the test unless both tools show the same status. It returns what ours warns of.
func statusOf(t *testing.T, ifname string) (warnings string) {
	t.Helper()
	stdout, stderr, _ := harness.Run(t, ours, "status", ifname)
	if native := harness.MustRun(t, "xdp-loader", "status", ifname); stdout != native {
		t.Errorf("status:\n%s\nxdp-loader status:\n%s", stdout, native)
	}
	return stderr
}

// lossOf is what status and check say of lost packets, which have to agree: the size above which
// packets are lost, and the remedy; 0: none are.
func lossOf(t *testing.T, ifname string) (above int, remedy string) {
	t.Helper()
	stderr := statusOf(t, ifname)
	c := harness.Status(t, ifname)
	above, what := c.LostAbove, "chain"
	if c.Legacy != nil {
		what = "program"
	}
	words := fmt.Sprintf("%s loses packets of more than %d bytes: its MTU is %d, and the %s has no frags support", ifname, above, c.MTU, what)
	warning, remedy, _ := strings.Cut(stderr, "\n")
	if warned := warning == "xdpmux: warning: "+words; warned != (above > 0) {
		t.Errorf("packets of more than %d bytes are lost, and status says %q", above, stderr)
	}
	mtu := checked(t, ifname, "mtu")
	if said := mtu.Detail == words && mtu.State == check.Limited && strings.TrimSpace(remedy) == mtu.Remedy; said != (above > 0) {
		t.Errorf("packets of more than %d bytes are lost, and check says %+v, status %q", above, mtu, stderr)
	}
	return above, remedy
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// load loads on an interface, and returns the warnings.
func load(t *testing.T, ifname string, args ...string) (warnings string) {
	t.Helper()
	stdout, stderr, status := harness.Run(t, ours, append([]string{"load", ifname}, args...)...)
	if status != 0 || stdout != "" {
		t.Fatalf("load %s %q: exit status %d\n%s%s", ifname, args, status, stdout, stderr)
	}
	return stderr
}

// writeState writes a state file that wants a program on an interface.
func writeState(t *testing.T, path, ifname, object string) {
	t.Helper()
	object, err := filepath.Abs(object)
	if err == nil {
		err = os.WriteFile(path, fmt.Appendf(nil, "interfaces: [{name: %s, programs: [{name: a, object: %s}]}]", ifname, object), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A driver may keep a chain without frags support when the MTU is raised, or take one at an MTU
// whose packets it can't give to it. The packets that are lost then are those that xdpmux tells.
func lostPackets(t *testing.T, c *harness.Cards, kind string, says cell) {
	pass, frags := harness.Sample("xdp_pass"), harness.Fixture("frags")
	state, limit := filepath.Join(t.TempDir(), "state.yaml"), says.limit
	// What the driver takes with such a chain is more than what it can give to it.
	taken := limit + 6
	unload := func() { harness.MustRun(t, ours, "unload", "-a", c.Name) }

	c.SetMTU(t, limit)
	if said := load(t, c.Name, pass, pass); said != "" {
		t.Errorf("load at MTU %d: %s", limit, said)
	}
	if above, _ := lossOf(t, c.Name); above != 0 {
		t.Errorf("MTU %d: packets of more than %d bytes are lost", limit, above)
	}
	gets(t, c, map[int]bool{1500: true, limit: true})

	unload()
	c.SetMTU(t, taken)
	// Before a chain is there, it is said what it wouldn't get.
	writeState(t, state, c.Name, pass)
	for _, args := range [][]string{{"load", c.Name, pass, "--dry-run"}, {"plan", "-f", state}} {
		_, said, _ := harness.Run(t, ours, args...)
		words := fmt.Sprintf("xdpmux: warning: %s would lose packets of more than %d bytes, or its driver refuse the chain: its MTU is %d, and the chain would have no frags support\n",
			c.Name, limit, taken)
		if remedy, ok := strings.CutPrefix(said, words); !ok || strings.Contains(remedy, "xdp.frags") != says.frags {
			t.Errorf("%q at MTU %d: %s", args, taken, said)
		}
	}
	var plans []desired.Plan
	decode(t, harness.MustRun(t, ours, "apply", "--json", "-f", state), &plans)
	if plans[0].LostAbove != limit {
		t.Errorf("apply at MTU %d: %+v", taken, plans[0])
	}
	unload()
	loses := fmt.Sprintf("loses packets of more than %d bytes", limit)
	if said := load(t, c.Name, pass); !strings.Contains(said, loses) {
		t.Errorf("load at MTU %d: %s", taken, said)
	}
	gets(t, c, map[int]bool{limit: true, limit + 1: false, taken: false})
	above, remedy := lossOf(t, c.Name)
	if inFrags := strings.Contains(remedy, "xdp.frags"); above != limit || inFrags != says.frags || !strings.Contains(remedy, "lower the MTU") {
		t.Errorf("MTU %d: packets of more than %d bytes are lost, want %d; %s", taken, above, limit, remedy)
	}
	unload()
	lone := []string{"LIBXDP_SKIP_DISPATCHER=1"}
	if _, said, status := harness.RunEnv(t, lone, ours, "load", c.Name, pass); status != 0 || !strings.Contains(said, loses) {
		t.Errorf("load without a dispatcher at MTU %d: exit status %d, %s", taken, status, said)
	}
	if above, _ := lossOf(t, c.Name); above != limit {
		t.Errorf("without a dispatcher packets of more than %d bytes are lost, want %d", above, limit)
	}
	unload()
	if !harness.KernelBefore(t, "6.3") { // nor does anything show it of a program that is bound to the device
		harness.RunEnv(t, lone, ours, "load", c.Name, harness.Fixture("metadata"), "-n", "ask_hash")
		_, said, _ := harness.Run(t, ours, "status", c.Name)
		if may := fmt.Sprintf("%s may lose packets of more than %d bytes", c.Name, limit); !strings.Contains(said, may) {
			t.Errorf("bound, without a dispatcher: %q, want %q", said, may)
		}
		unload()
	}
	if says.frags { // the kernel doesn't show it of a program
		if _, said, status := harness.RunEnv(t, lone, ours, "load", c.Name, frags); status != 0 || strings.Contains(said, "loses") {
			t.Errorf("load without a dispatcher, with frags support: exit status %d, %s", status, said)
		}
		gets(t, c, map[int]bool{limit: true, limit + 1: true, taken: true})
		if above, _ := lossOf(t, c.Name); above != 0 {
			t.Errorf("with frags support, without a dispatcher, packets of more than %d bytes are lost", above)
		}
		unload()
	}
	if kind == "vmxnet3" {
		// It never frees a native program if the MTU is changed meanwhile, and loses large
		// packets without one too, once there was one.
		return
	}

	c.SetMTU(t, 1500)
	load(t, c.Name, pass)
	raised := 4000
	c.SetMTU(t, raised)
	gets(t, c, map[int]bool{1500: true, limit: true, limit + 1: false, raised: false})
	if above, _ := lossOf(t, c.Name); above != limit {
		t.Errorf("MTU raised to %d: packets of more than %d bytes are lost, want %d", raised, above, limit)
	}
	if harness.KernelBefore(t, "6.3") { // it lets a program go at a small MTU alone
		c.SetMTU(t, 9000)
		_, stderr, status := harness.Run(t, ours, "unload", "-a", c.Name)
		if want := "the driver of " + c.Name + " takes no XDP program off while the MTU is 9000 ("; status != 1 || !strings.Contains(stderr, want) {
			t.Errorf("unload at MTU 9000: exit status %d, want %q in\n%s", status, want, stderr)
		}
	}
	c.SetMTU(t, 1500)
	unload()
	c.SetMTU(t, raised)

	// The remedies are ones.
	others := map[string][]string{"in skb mode": {"-m", "skb", pass}}
	if says.frags {
		others["with frags support"] = []string{frags, frags}
	}
	for name, args := range others {
		if said := load(t, c.Name, args...); said != "" {
			t.Errorf("%s: %s", name, said)
		}
		gets(t, c, map[int]bool{1500: true, limit: true, limit + 1: true, raised: true})
		if above, _ := lossOf(t, c.Name); above != 0 {
			t.Errorf("%s: packets of more than %d bytes are lost", name, above)
		}
		unload()
	}
}

// What is said of an MTU that a driver refuses fits the driver.
func refusedMTU(t *testing.T, c *harness.Cards, says cell) {
	pass, frags := harness.Sample("xdp_pass"), harness.Fixture("frags")
	c.SetMTU(t, 9000)
	cases := map[string][2]string{pass: {"a program without frags support", "lower the MTU, or use -m skb"}}
	switch {
	case says.frags:
		cases[pass] = [2]string{cases[pass][0], `lower the MTU, put every program of the chain into SEC("xdp.frags"), or use -m skb`}
	case harness.KernelBefore(t, "6.3"): // the kernel can't tell whether the driver would take it
		cases[pass] = [2]string{cases[pass][0], `lower the MTU, put every program of the chain into SEC("xdp.frags") if the driver takes that, or use -m skb`}
		fallthrough
	default:
		cases[frags] = [2]string{"any XDP program", "lower the MTU, or use -m skb"}
	}
	for file, want := range cases {
		_, stderr, status := harness.Run(t, ours, "load", c.Name, file)
		said, remedy, _ := strings.Cut(stderr, "\n")
		words := fmt.Sprintf("xdpmux: the MTU of %s is too large for %s; %[1]s has 9000 (", c.Name, want[0])
		if status != 1 || !strings.HasPrefix(said, words) || strings.TrimSpace(remedy) != want[1] {
			t.Errorf("load %s: exit status %d, want %q and %q in\n%s", file, status, words, want[1], stderr)
		}
	}
}
