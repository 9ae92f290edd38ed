package command

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdpmux/xdpmux/test/harness"
)

// steps is a life of a chain, as arguments of either tool. IF stands for the
// interface, ID0 for the id of the first program in the chain. A variable may come before.
var steps = []string{
	"load IF xdp_pass.o",
	"load IF xdp_drop.o -P 10 -A XDP_DROP",
	"load -A XDP_PASS,XDP_TX --prio=123456 IF fixtures/verdicts.o -s xdp/tx",
	"load IF fixtures/verdicts.o --prog-name v_pass_with_a_name_longer_than_the_kernel_keeps",
	"load IF fixtures/verdicts.o",
	"unload IF -i ID0",
	"load IF xdp_count.o xdp_drop_ipv6.o xdp_pass.o xdp_drop.o xdp_pass.o xdp_count.o",
	"unload -i ID0 IF",
	"unload --id ID0 IF",
	"unload -a IF",
	"load -m skb IF xdp_count.o xdp_drop_ipv6.o",
	"unload IF -i ID0",
	"load -m skb IF xdp_pass.o",
	"unload --all IF",
	"LIBXDP_SKIP_DISPATCHER=1 load -m unspecified IF xdp_pass.o",
	"unload -i ID0 IF",
}

// TestDifferential drives one interface with each tool and one with both in
// turn. After each step both tools print the same bytes on the same kernel
// state, and the three interfaces show the same chain and pins.
func TestDifferential(t *testing.T) {
	harness.NoLeak(t)
	t.Chdir("../../build/bpf")
	drivers := []struct {
		name string
		tool func(step int) string
		veth *harness.Veth
	}{
		{"xdpmux", func(int) string { return harness.Xdpmux() }, harness.NewVeth(t)},
		{"xdp-loader", func(int) string { return native }, harness.NewVeth(t)},
		{"both", func(step int) string { return []string{native, harness.Xdpmux()}[step%2] }, harness.NewVeth(t)},
		{"both, the other way", func(step int) string { return []string{harness.Xdpmux(), native}[step%2] }, harness.NewVeth(t)},
	}
	sameStatus(t)
	for i, step := range steps {
		var want string
		for _, d := range drivers {
			args := strings.Fields(strings.NewReplacer("IF", d.veth.Name, "ID0", firstID(t, d.veth.Name)).Replace(step))
			command := append([]string{d.tool(i)}, args...)
			if strings.Contains(args[0], "=") {
				command = append([]string{"env", args[0], d.tool(i)}, args[1:]...)
			}
			harness.MustRun(t, command[0], command[1:]...)
		}
		sameStatus(t)
		sameStatus(t, drivers[i%len(drivers)].veth.Name)
		for _, d := range drivers {
			got := shape(t, d.veth)
			if want == "" {
				want = got
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("after %q by %s (-%s +%s):\n%s", step, d.name, drivers[0].name, d.name, diff)
			}
		}
	}
}

// firstID is the id of the first program in the chain or of the legacy program.
func firstID(t *testing.T, ifname string) string {
	t.Helper()
	chain := harness.Status(t, ifname)
	switch {
	case len(chain.Programs) > 0:
		return fmt.Sprint(chain.Programs[0].ID)
	case chain.Legacy != nil:
		return fmt.Sprint(chain.Legacy.ID)
	}
	return "none"
}

// sameStatus compares what both tools print.
func sameStatus(t *testing.T, args ...string) {
	t.Helper()
	args = append([]string{"status"}, args...)
	if diff := cmp.Diff(harness.MustRun(t, native, args...), harness.MustRun(t, harness.Xdpmux(), args...)); diff != "" {
		t.Errorf("%s (-xdp-loader +xdpmux):\n%s", strings.Join(args, " "), diff)
	}
}

// shape is an interface's status and pins with what differs from one interface
// to another masked.
func shape(t *testing.T, v *harness.Veth) string {
	t.Helper()
	ids := regexp.MustCompile(`\b\d+ +([0-9a-f]{16}) `)
	table := ids.ReplaceAllString(harness.MustRun(t, native, "status", v.Name), "ID $1 ")
	table = regexp.MustCompile(v.Name+" *").ReplaceAllString(table, "IF ")
	pins, err := filepath.Glob(fmt.Sprintf("/sys/fs/bpf/xdp/dispatch-%d-*/*", v.Index))
	if err != nil {
		t.Fatal(err)
	}
	for i, pin := range pins {
		pins[i] = filepath.Base(pin)
	}
	return table + strings.Join(pins, "\n")
}

// TestForeignObject loads what no one here wrote: the programs of xdp-filter.
func TestForeignObject(t *testing.T) {
	objects, err := filepath.Glob("/usr/lib/*/bpf/xdpfilt_*.o")
	if err != nil || len(objects) == 0 {
		t.Fatalf("no object of xdp-filter found: %v", err)
	}
	for _, object := range objects {
		t.Run(filepath.Base(object), func(t *testing.T) {
			harness.NoLeak(t)
			v := harness.NewVeth(t)
			harness.MustRun(t, harness.Xdpmux(), "load", v.Name, object)
			sameStatus(t, v.Name)
			chain := harness.Status(t, v.Name)
			if len(chain.Programs) != 1 || !strings.HasPrefix(chain.Programs[0].Name, "xdpfilt_") || chain.Programs[0].Priority != 10 {
				t.Errorf("got %+v", chain.Programs)
			}
			harness.MustRun(t, harness.Xdpmux(), "unload", "-a", v.Name)
		})
	}
}

// TestFilterJoins has xdp-filter join a chain of xdpmux and leave it again, and
// xdpdump name every program of it.
func TestFilterJoins(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	harness.MustRun(t, harness.Xdpmux(), "load", v.Name, harness.Sample("xdp_pass"), harness.Sample("xdp_count"))
	before := harness.MustRun(t, harness.Xdpmux(), "status", v.Name)

	// What xdp-filter keeps in the bpffs is its own.
	t.Cleanup(func() { os.RemoveAll("/sys/fs/bpf/xdp-filter") })
	harness.MustRun(t, "xdp-filter", "load", v.Name, "-f", "ipv4")
	sameStatus(t, v.Name)
	chain := harness.Status(t, v.Name)
	if len(chain.Programs) != 3 {
		t.Fatalf("xdp-filter didn't join: %+v", chain.Programs)
	}
	dump, _, _ := harness.Run(t, "xdpdump", "-D") // exits with 1 whatever it finds
	for _, p := range chain.Programs {
		if !strings.Contains(dump, p.Name) {
			t.Errorf("xdpdump doesn't name %s:\n%s", p.Name, dump)
		}
	}
	harness.MustRun(t, "xdp-filter", "unload", v.Name)
	mask := regexp.MustCompile(`native +\d+ +`) // with what fills up a shorter id
	if diff := cmp.Diff(mask.ReplaceAllString(before, ""), mask.ReplaceAllString(harness.MustRun(t, harness.Xdpmux(), "status", v.Name), "")); diff != "" {
		t.Errorf("after xdp-filter has left (-before +after):\n%s", diff)
	}
	harness.MustRun(t, harness.Xdpmux(), "unload", "-a", v.Name)
}
