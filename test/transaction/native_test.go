package transaction

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestNativeVersions shares chains with the native tools of other distributions, which have other
// versions of libxdp. Who starts a chain sets its version, and both go on with that.
func TestNativeVersions(t *testing.T) {
	for suite, version := range map[string]int{"trixie": 2, "sid": 3} {
		t.Run(suite, func(t *testing.T) {
			harness.NoLeak(t)
			loader := harness.NativeLoader(t, suite)
			v := harness.NewVeth(t)
			n := nativeChain{t, v, loader, version}
			object := n.file("verdicts")

			harness.MustRun(t, loader, "load", v.Name, object, "-n", "v_pass", "-P", "20")
			n.check("v_pass")
			harness.MustRun(t, harness.Xdpmux(), "load", v.Name, object, "-n", "v_drop", "-P", "40", "--actions", "XDP_DROP,XDP_PASS")
			n.check("v_pass v_drop")
			harness.MustRun(t, loader, "load", v.Name, object, "-n", "v_pass_frags", "-P", "30")
			n.check("v_pass v_pass_frags v_drop")

			ids := n.ids()
			harness.MustRun(t, harness.Xdpmux(), "set", v.Name, "-i", ids[0], "-P", "50", "--actions", "XDP_TX")
			n.check("v_pass_frags v_drop v_pass")
			harness.MustRun(t, harness.Xdpmux(), "replace", v.Name, "-i", ids[1], "-n", "v_tx", object)
			n.check("v_tx v_drop v_pass")
			harness.MustRun(t, loader, "unload", v.Name, "-i", ids[2])
			n.check("v_tx v_pass")
			if got := n.chain().Programs[1]; got.Priority != 50 || got.Actions != *xdp.On(xdp.TX) {
				t.Errorf("%+v has lost what it was set to", got)
			}
			harness.MustRun(t, harness.Xdpmux(), "unload", v.Name, "-i", n.ids()[0])
			n.check("v_pass")
			if got := v.Deliver(t, harness.UDP4(harness.Flow{PayloadLen: 64})); len(got) != 1 {
				t.Errorf("%d packets, want one", len(got))
			}

			// Programs that change packet data go into the chain of either.
			harness.MustRun(t, harness.Xdpmux(), "load", v.Name, n.file("movehead"), "-P", "60")
			n.check("v_pass move_head")
			harness.MustRun(t, loader, "unload", v.Name, "-a")
			checkPins(t, v)
			harness.MustRun(t, loader, "load", v.Name, object, "-n", "v_pass")
			n.check("v_pass")
			harness.MustRun(t, harness.Xdpmux(), "unload", v.Name, "-a")
			checkPins(t, v)
		})
	}
}

// nativeChain is a chain that native tools of another distribution share.
type nativeChain struct {
	*testing.T
	veth    *harness.Veth
	loader  string
	version int
}

func (n nativeChain) file(name string) string {
	n.Helper()
	path, err := filepath.Abs(harness.Fixture(name))
	if err != nil {
		n.Fatal(err)
	}
	return path
}

func (n nativeChain) chain() *dispatcher.Chain { return status(n.T, n.veth.Name) }

func (n nativeChain) ids() (ids []string) {
	for _, p := range n.chain().Programs {
		ids = append(ids, fmt.Sprint(p.ID))
	}
	return ids
}

// check fails the test unless these programs run, in a chain of the version that it was
// started with, and both tools show the same.
func (n nativeChain) check(programs string) {
	n.Helper()
	chain := n.chain()
	if got := strings.Join(names(chain), " "); got != programs || chain.Version != n.version {
		n.Fatalf("chain of version %d: %s\nwant version %d: %s", chain.Version, got, n.version, programs)
	}
	ours := harness.MustRun(n, harness.Xdpmux(), "status", n.veth.Name)
	theirs := harness.MustRun(n, n.loader, "status", n.veth.Name)
	if ours != theirs {
		n.Fatalf("%s status:\n%s\n%s status:\n%s", harness.Xdpmux(), ours, n.loader, theirs)
	}
	checkPins(n.T, n.veth)
}
