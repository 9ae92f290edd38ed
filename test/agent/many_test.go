package agent

import (
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/xdpmux/xdpmux/test/harness"
)

// host is one with many interfaces of containers.
type host struct {
	*testing.T
	agent *agent
	here  []string // the interfaces, in the order in which they came
	count int      // of all that ever came
}

// come adds interfaces at once, and deletes the oldest ones meanwhile. It returns how long each that
// came took until the agent had given it its chain.
func (h *host) come(n, leaving int) (took []time.Duration) {
	h.Helper()
	awaited := map[string]time.Time{}
	for i := range n {
		if i < leaving {
			h.leave()
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name = fmt.Sprintf("many%d", h.count)
		awaited[attrs.Name] = time.Now()
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: fmt.Sprintf("peer%d", h.count)}); err != nil {
			h.Fatal(err)
		}
		h.count++
		h.here = append(h.here, attrs.Name)
	}
	for len(awaited) > 0 {
		name := h.agent.until(h.T, "changed", "").Interface
		if since, ok := awaited[name]; ok {
			took = append(took, time.Since(since))
			delete(awaited, name)
		}
	}
	return took
}

// leave deletes the oldest interface.
func (h *host) leave() {
	h.Helper()
	link, err := netlink.LinkByName(h.here[0])
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil {
		h.Fatal(err)
	}
	h.here = h.here[1:]
}

// TestMany: on a host with up to 1,000 interfaces, of which 20 go and 20 come each second, each that
// comes gets its chain of three within a second, however many seconds that goes on. Where time goes by
// the emulation, it is a second and what native tools take to load and to unload as many, one by one.
// No packet passes the chain of another interface meanwhile, and nothing is left of those that go.
func TestMany(t *testing.T) {
	atOnce := harness.Scaled(20, 6)
	harness.NoLeak(t)
	cleans(t)
	harness.InNetns(t, func() {
		v := harness.NewVeth(t)
		dir := t.TempDir()
		put(t, dir, "guard.yaml", declare(t, v.Name, "xdp_drop"))
		put(t, dir, "many.yaml", declare(t, "many*", "xdp_drop", "xdp_pass", "xdp_count"))
		h := &host{T: t, agent: start(t, dir)}
		h.agent.changes(t, "started", v.Name, "xdp_drop")
		ran := runs(t, v.Name)
		stop := storm(t, v, 1)

		// natively is what native tools take for one interface that comes, and one that goes.
		natively := func() time.Duration {
			var took []time.Duration
			for range harness.Scaled(3, 1) {
				w := harness.NewVeth(t)
				begun := time.Now()
				harness.MustRun(t, native, "load", w.Name, harness.Sample("xdp_drop"), harness.Sample("xdp_pass"), harness.Sample("xdp_count"))
				harness.MustRun(t, native, "unload", w.Name, "-a")
				took = append(took, time.Since(begun))
			}
			slices.Sort(took)
			return took[len(took)/2]
		}
		sizes := []int{atOnce}
		if harness.Scaled(1, 0) == 1 {
			sizes = []int{100, 300, 1000}
		}
		for _, n := range sizes {
			for len(h.here) < n {
				h.come(min(atOnce, n-len(h.here)), 0)
			}
			each := natively()
			limit := time.Second
			if !harness.ByInstructions() {
				limit += time.Duration(atOnce) * each
			}
			var took []time.Duration
			seconds := harness.Scaled(5, 1)
			begun := time.Now()
			for i := range seconds {
				time.Sleep(time.Until(begun.Add(time.Duration(i) * time.Second))) // the rate itself
				took = append(took, h.come(atOnce, atOnce)...)
			}
			whole := time.Since(begun)
			slices.Sort(took)
			median, longest := took[len(took)/2], took[len(took)-1]
			descriptors, memory := size(t, h.agent.PID())
			t.Logf("%d interfaces, for %d s %d go and come each second: they run after %v, at most %v, the last after %v; natively %v each, of which it is %.2f; the agent has %d descriptors, %d KiB",
				n, seconds, atOnce, median.Round(time.Millisecond), longest.Round(time.Millisecond), whole.Round(time.Millisecond),
				each.Round(time.Millisecond), float64(longest)/float64(atOnce)/float64(each), descriptors, memory)
			if longest > limit {
				t.Errorf("%d interfaces: it took %v, want %v at most", n, longest, limit)
			}
			if harness.ByInstructions() && whole > time.Duration(seconds)*time.Second {
				t.Errorf("%d interfaces: what came and went in %d s was done after %v", n, seconds, whole)
			}
			if left, err := filepath.Glob("/sys/fs/bpf/xdp/dispatch-*"); err != nil || len(left) != n+1 {
				t.Errorf("%d interfaces have chains, and %d chains have pins: %v", n+1, len(left), err)
			}
		}
		if sent, passed := stop(); passed > 0 || sent == 0 {
			t.Errorf("of %d frames %d passed a program that drops all", sent, passed)
		}
		if now := runs(t, v.Name); now != ran {
			t.Errorf("the guard: it ran %s and runs %s", ran, now)
		}
		h.agent.Stop(t, syscall.SIGTERM)
		check(t, "the last", h.here[len(h.here)-1], "xdp_count xdp_drop xdp_pass")
	})
}
