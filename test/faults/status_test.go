package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// status reads an interface through the command line.
func status(t *testing.T, ifname string, exit int) *dispatcher.Chain {
	t.Helper()
	stdout, stderr, got := harness.Run(t, ours(), "status", "--json", ifname)
	if got != exit {
		t.Fatalf("status: exit status %d, want %d\n%s%s", got, exit, stdout, stderr)
	}
	return decode[[1]*dispatcher.Chain](t, stdout)[0]
}

// Every version of the protocol, wherever its pins lie.
func TestStatusOfEveryVersion(t *testing.T) {
	for version := 1; version <= 3; version++ {
		for _, pinned := range []string{"as libxdp does", "elsewhere", "not at all", "half"} {
			t.Run(fmt.Sprintf("version %d, pinned %s", version, pinned), func(t *testing.T) {
				harness.NoLeak(t)
				v := harness.NewVeth(t)
				f := harness.NewForeign(t, version)
				v.Attach(t, f.FD, harness.SKB)
				want := ""
				libxdp := fmt.Sprintf("/sys/fs/bpf/xdp/dispatch-%d-%d", v.Index, f.ID)
				switch pinned {
				case "as libxdp does":
					want = libxdp
					f.Pin(t, want, 0)
					f.Pin(t, want, 1)
				case "elsewhere":
					f.Pin(t, filepath.Join("/sys/fs/bpf", t.TempDir()), 0)
				case "half":
					want = libxdp
					f.Pin(t, want, 1)
				}
				c := status(t, v.Name, 0)
				if c.Version != version || c.Dispatcher == nil || c.Dispatcher.ID != f.ID || *c.Mode != xdp.ModeSKB || c.Pins != want || c.Problem != "" {
					t.Errorf("chain: %+v", c)
				}
				frags := version > 1
				for i, want := range []dispatcher.Component{
					{Priority: 7, Actions: *xdp.On(xdp.Pass)},
					{Priority: 9, Actions: *xdp.On(xdp.Pass, xdp.TX), Frags: frags},
				} {
					got := c.Programs[i]
					if got.ID != f.Programs[i] || got.Name != "xdp_pass" || got.Tag == "" {
						t.Errorf("program %d: %+v", i, got)
					}
					got.Loaded = xdp.Loaded{}
					if !reflect.DeepEqual(got, want) {
						t.Errorf("program %d: %+v, want %+v", i, got, want)
					}
				}
			})
		}
	}
}

// One chain that can't be read, and the ones after it.
func TestStatusOfTheUnknown(t *testing.T) {
	harness.NoLeak(t)
	harness.InNetns(t, func() {
		bad, good := harness.NewVeth(t), harness.NewVeth(t)
		bad.Attach(t, harness.NewForeign(t, 4).FD, harness.SKB)
		good.Attach(t, harness.Program(t, harness.Pass), harness.Native)
		stdout, stderr, exit := harness.Run(t, ours(), "status")
		if exit != 1 || !strings.Contains(stderr, "version 4, and xdpmux knows 1 to 3") {
			t.Errorf("exit status %d, stderr %q", exit, stderr)
		}
		for _, want := range []string{bad.Name + "    ", "version 4, and xdpmux knows 1 to 3", good.Name + "    ", "native"} {
			if !strings.Contains(stdout, want) {
				t.Errorf("no %q in:\n%s", want, stdout)
			}
		}
		if c := status(t, bad.Name, 1); !strings.Contains(c.Problem, "version 4") {
			t.Errorf("problem: %q", c.Problem)
		}
	})
}

// A chain whose first program has lost its link: it is pinned, and doesn't run.
func TestStatusOfHalfAChain(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	harness.MustRun(t, ours(), "load", v.Name, sample("xdp_drop"), sample("xdp_pass"))
	t.Cleanup(func() { harness.Run(t, ours(), "unload", "-a", v.Name) })
	before := status(t, v.Name, 0)
	must(t, os.Remove(filepath.Join(before.Pins, "prog0-link")))
	if passed := v.Deliver(t, harness.UDP4(harness.Flow{})); len(passed) != 1 {
		t.Fatalf("the program still runs, although its link is gone: this test is wrong")
	}
	after := status(t, v.Name, 0)
	if after.Programs[0].ID != 0 || after.Programs[1] != before.Programs[1] || !strings.Contains(after.Problem, "half removed") {
		t.Errorf("before: %+v\nafter: %+v", before, after)
	}
	if stdout := harness.MustRun(t, ours(), "status", v.Name); !strings.Contains(stdout, "<gone>") {
		t.Errorf("nothing is gone:\n%s", stdout)
	}
}

// Programs that a bpf_link holds, a dispatcher among them.
func TestStatusOfLinks(t *testing.T) {
	harness.NoLeak(t)
	a, b := harness.NewVeth(t), harness.NewVeth(t)
	linkTo(t, harness.Program(t, harness.Pass), a.Index)
	linkTo(t, harness.NewForeign(t, 2).FD, b.Index)
	if c := status(t, a.Name, 0); c.Link == 0 || c.Legacy == nil {
		t.Errorf("legacy program: %+v", c)
	}
	if c := status(t, b.Name, 0); c.Link == 0 || c.Dispatcher == nil || len(c.Programs) != 2 {
		t.Errorf("dispatcher: %+v", c)
	}
	// The text is xdp-loader's, byte for byte.
	if ours, native := harness.MustRun(t, ours(), "status", a.Name), harness.MustRun(t, "xdp-loader", "status", a.Name); ours != native {
		t.Errorf("xdpmux:\n%s\nxdp-loader:\n%s", ours, native)
	}
}

// The names that are asked for, in their order.
func TestStatusOfSeveral(t *testing.T) {
	a, b := harness.NewVeth(t), harness.NewVeth(t)
	stdout := harness.MustRun(t, ours(), "status", b.Name, a.Name)
	lines := strings.Split(stdout, "\n")
	if !strings.HasPrefix(lines[4], b.Name) || !strings.HasPrefix(lines[5], a.Name) || len(lines) != 8 {
		t.Errorf("got:\n%s", stdout)
	}
	if _, stderr, exit := harness.Run(t, ours(), "status", a.Name, "nonesuch"); exit != 1 || !strings.Contains(stderr, "nonesuch") {
		t.Errorf("exit status %d, stderr %q", exit, stderr)
	}
}

// Many interfaces with everything that xdp-loader can read: the text is its, byte for
// byte. On 2,000 the host compares both, in test/host.
func TestStatusOfMany(t *testing.T) {
	harness.NoLeak(t)
	harness.InNetns(t, func() {
		full := strings.Fields(strings.Repeat(pass+" ", 10))
		for _, load := range [][]string{
			{pass},
			{pass, sample("xdp_drop")},
			{"-m", "skb", sample("xdp_count") + "@prio=4294967295,actions=XDP_ABORTED+XDP_DROP+XDP_PASS+XDP_TX+XDP_REDIRECT", pass + "@prio=1"},
			{object("frags")},
			{object("adjust_head"), pass},
			full,
		} {
			v := harness.NewVeth(t)
			harness.MustRun(t, ours(), append([]string{"load", v.Name}, load...)...)
		}
		for _, mode := range []harness.Mode{harness.Native, harness.SKB} {
			harness.NewVeth(t).Attach(t, harness.Program(t, harness.Pass), mode)
		}
		linkTo(t, harness.Program(t, harness.Pass), harness.NewVeth(t).Index)
		// Pins of an interface that has vanished.
		gone := harness.NewVeth(t)
		harness.MustRun(t, ours(), "load", gone.Name, pass)
		harness.MustRun(t, "ip", "link", "delete", gone.Name)
		const script = `for i in $(seq 140); do echo "link add many-of-all-$i type veth peer name n$i"; done | ip -batch -`
		harness.MustRun(t, "bash", "-c", script)

		native := harness.MustRun(t, "xdp-loader", "status")
		if diff := cmp.Diff(native, harness.MustRun(t, ours(), "status")); diff != "" || strings.Count(native, "\n") < 300 {
			t.Errorf("xdp-loader, and + xdpmux:\n%s", diff)
		}
	})
}
