// Package desired runs xdpmux plan, apply and export on a real kernel.
package desired

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// object is the path of an object that make has built.
func object(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(harness.Sample(name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// write writes a file to a directory of the test's own and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// mustExit runs xdpmux and checks its exit status.
func mustExit(t *testing.T, want int, args ...string) (stdout string) {
	t.Helper()
	stdout, stderr, status := harness.Run(t, harness.Xdpmux(), args...)
	if status != want {
		t.Fatalf("xdpmux %s: exit status %d, want %d\n%s%s", strings.Join(args, " "), status, want, stdout, stderr)
	}
	return stdout
}

// text is a chain without what the kernel makes up: "5 xdp_count XDP_PASS; ...".
func text(c *dispatcher.Chain) string {
	var all []string
	for _, p := range c.Programs {
		all = append(all, fmt.Sprintf("%d %s %s", p.Priority, p.Name, p.Actions))
	}
	return strings.Join(all, "; ")
}

// asJSON is everything about a chain, ids included.
func asJSON(t *testing.T, c *dispatcher.Chain) string {
	t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// swaps counts how often the program of an interface changes, as the kernel tells.
type swaps struct {
	ifname  string
	index   int
	updates chan netlink.LinkUpdate
	last    uint32
}

func watchSwaps(t *testing.T, v *harness.Veth) *swaps {
	t.Helper()
	s := &swaps{ifname: v.Name, index: v.Index, updates: make(chan netlink.LinkUpdate, 1000)}
	done := make(chan struct{})
	if err := netlink.LinkSubscribe(s.updates, done); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		close(done)
		for range s.updates { // closed when its goroutine ends
		}
	})
	return s
}

// count is how many swaps there were since the last call. The kernel sends one
// message for each change, so that of the program that is there now is the last.
func (s *swaps) count(t *testing.T) int {
	t.Helper()
	var now uint32
	if chain := harness.Status(t, s.ifname); chain.Dispatcher != nil {
		now = chain.Dispatcher.ID
	}
	n := 0
	for s.last != now {
		select {
		case <-t.Context().Done():
			t.Fatal("the kernel says nothing of a swap")
		case update := <-s.updates:
			if a := update.Attrs(); a.Index == s.index && a.Xdp != nil && a.Xdp.ProgId != s.last {
				n++
				s.last = a.Xdp.ProgId
			}
		}
	}
	return n
}
