package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/xdpmux/xdpmux/test/harness"
)

// dropped is how many messages the kernel couldn't keep for who hears of interfaces (/proc/net/netlink).
func dropped(t *testing.T) (sum int) {
	t.Helper()
	table, err := os.ReadFile("/proc/thread-self/net/netlink")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(table), "\n")[1:] {
		var drops int
		if f := strings.Fields(line); len(f) == 10 && f[1] == "0" { // NETLINK_ROUTE
			if _, err := fmt.Sscan(f[8], &drops); err != nil {
				t.Fatal(err)
			}
		}
		sum += drops
	}
	return sum
}

// TestMissed: an agent that is behind, so that the kernel drops what it would tell, still does what it has
// heard of, and finds out the rest: of the interface that was deleted first nothing is left, and one that
// has come last gets its chain.
func TestMissed(t *testing.T) {
	harness.NoLeak(t)
	cleans(t)
	other := harness.NewVeth(t)
	dir := t.TempDir()
	put(t, dir, "a.yaml", declare(t, "mi?", "xdp_pass"))
	a := start(t, dir)
	a.until(t, "the files have been read", "")
	add(t, "mi0")
	a.changes(t, "added", "mi0", "xdp_pass")
	link, err := netlink.LinkByName("mi0")
	if err != nil {
		t.Fatal(err)
	}
	left := func() []string {
		all, err := filepath.Glob(fmt.Sprintf("/sys/fs/bpf/xdp/dispatch-%d-*", link.Attrs().Index))
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if len(left()) != 1 {
		t.Fatalf("its chain has %q", left())
	}

	a.Pause(t)
	if err := netlink.LinkDel(link); err != nil {
		t.Fatal(err)
	}
	busy, err := netlink.LinkByName(other.Name)
	if err != nil {
		t.Fatal(err)
	}
	for before := dropped(t); dropped(t) == before; {
		for range 100 {
			if err := netlink.LinkSetAlias(busy, "told of"); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(t, "mi1")
	a.Signal(t, syscall.SIGCONT)
	a.until(t, "the kernel told more of interfaces than could be kept, so all are looked at", "")
	a.changes(t, "told late", "mi1", "xdp_pass")
	if !harness.Eventually(func() bool { return len(left()) == 0 }) {
		t.Errorf("%q is left", left())
	}
	a.end(t)
}
