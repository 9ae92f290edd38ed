package faults

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/check"
	"github.com/xdpmux/xdpmux/test/harness"
)

// checks are what check --json finds, by name.
func checks(t *testing.T, wrap []string, exit int, args ...string) map[string]check.Check {
	t.Helper()
	stdout, stderr, got := run(t, wrap, ours(), append([]string{"check", "--json"}, args...))
	if got != exit {
		t.Errorf("exit status %d, want %d\n%s%s", got, exit, stdout, stderr)
	}
	byName := map[string]check.Check{}
	for _, c := range decode[[]check.Check](t, stdout) {
		if (c.State != check.OK) != (c.Remedy != "") {
			t.Errorf("%s is %s with the remedy %q", c.Name, c.State, c.Remedy)
		}
		byName[c.Name] = c
	}
	return byName
}

// only leaves root with these capabilities.
func only(capabilities string) []string {
	return []string{"setpriv", "--bounding-set=-all" + capabilities, "--inh-caps=-all" + capabilities}
}

// check says what stops a load of two programs: on a whole machine nothing, and on others the one
// thing that they lack.
func TestCheck(t *testing.T) {
	must(t, os.MkdirAll("/sys/fs/bpf/xdp", 0o700))
	for _, c := range []struct {
		name    string
		wrap    []string
		missing []string // all capabilities that are, and other things
	}{
		{"whole", nil, nil},
		{"no bpffs", withoutBPFFS, []string{"bpffs"}},
		{"no bpffs, to be mounted", append(slices.Clone(withoutBPFFS), "env", "LIBXDP_BPFFS_AUTOMOUNT=1"), nil},
		{"read-only bpffs", []string{"unshare", "--mount", "sh", "-c", `mount -o remount,bind,ro /sys/fs/bpf && exec "$@"`, "sh"}, []string{"bpffs"}},
		{"no CAP_NET_ADMIN", withoutA("net_admin"), []string{"CAP_NET_ADMIN"}},
		{"no CAP_SYS_ADMIN", withoutA("sys_admin"), nil},
		{"no CAP_BPF", withoutA("bpf"), nil},
		{"no CAP_PERFMON", withoutA("perfmon"), nil},
		{"no CAP_DAC_OVERRIDE", withoutA("dac_override"), nil},
		{"two capabilities", only(",+net_admin,+sys_admin"), nil},
		{"three capabilities", only(",+net_admin,+bpf,+perfmon"), nil},
		{"no CAP_PERFMON, no CAP_SYS_ADMIN", only(",+net_admin,+bpf"), []string{"CAP_PERFMON", "xdp"}},
		{"CAP_NET_ADMIN", only(",+net_admin"), []string{"CAP_BPF", "CAP_PERFMON", "xdp"}},
		{"CAP_SYS_ADMIN", only(",+sys_admin"), []string{"CAP_NET_ADMIN"}},
		{"no capability", only(""), []string{"CAP_NET_ADMIN", "CAP_BPF", "CAP_PERFMON", "xdp"}},
		{"root of a user namespace", []string{"unshare", "--user", "--map-root-user"}, []string{"CAP_BPF", "CAP_PERFMON", "xdp"}},
		{"another user with both capabilities", []string{"setpriv", "--reuid=65534", "--clear-groups",
			"--inh-caps=+net_admin,+sys_admin", "--ambient-caps=+net_admin,+sys_admin"}, []string{"bpffs"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			harness.NoLeak(t)
			v := harness.NewVeth(t)
			exit := min(len(c.missing), 1)
			found := checks(t, c.wrap, exit, v.Name)
			for name, row := range found {
				if want := slices.Contains(c.missing, name); (row.State == check.Missing) != want {
					t.Errorf("%s: %+v, and missing is to be %v", name, row, want)
				}
			}
			_, stderr, status := run(t, c.wrap, ours(), []string{"load", v.Name, pass, pass})
			if status != exit {
				t.Errorf("load: exit status %d, want %d\n%s", status, exit, stderr)
			}
			if status != 0 && !strings.Contains(stderr, "missing") && !strings.Contains(stderr, "bpffs") && !strings.Contains(stderr, "/sys/fs/bpf") {
				t.Errorf("load doesn't name the fault: %s", stderr)
			}
			harness.Run(t, ours(), "unload", "-a", v.Name)
		})
	}
}

// A second libxdp on the machine, of another version of the protocol.
func TestCheckOfAnotherLibxdp(t *testing.T) {
	harness.NoLeak(t)
	beside := func(version int) []string {
		return []string{"unshare", "--mount", "sh", "-c", `mkdir -p /usr/local && mount -t tmpfs tmpfs /usr/local && mkdir -p /usr/local/lib/bpf &&
cp ` + harness.DispatcherObject(t, version) + ` /usr/local/lib/bpf/xdp-dispatcher.o && exec "$@"`, "sh"}
	}
	if c := checks(t, beside(3), 0)["libraries"]; c.State != check.Limited ||
		!strings.Contains(c.Detail, "dispatchers are of version 2, and that in /usr/local/lib/bpf/xdp-dispatcher.o is of version 3") ||
		!strings.Contains(c.Remedy, "LIBXDP_OBJECT_PATH=/usr/local/lib/bpf") {
		t.Errorf("%+v", c)
	}
	if c := checks(t, beside(2), 0)["libraries"]; c.State != check.OK {
		t.Errorf("%+v", c)
	}
}

// Each probe agrees with what it is a probe of.
func TestCheckOfProbes(t *testing.T) {
	harness.NoLeak(t)
	found := checks(t, nil, 0)
	for _, name := range []string{"xdp", "freplace", "fentry", "fexit"} {
		if found[name].State != check.OK {
			t.Errorf("%+v", found[name])
		}
	}
	v := harness.NewVeth(t)
	_, _, status := harness.Run(t, ours(), "load", v.Name, object("adjust_head"))
	if (status == 0) != (found["packet data"].State == check.OK) {
		t.Errorf("a program that moves the head: exit status %d, check says %+v", status, found["packet data"])
	}
	harness.Run(t, ours(), "unload", "-a", v.Name)
}

func TestCheckOfInterfaces(t *testing.T) {
	harness.NoLeak(t)
	if c := checks(t, nil, 0, "lo"); c["native mode"].State == check.OK && !harness.KernelBefore(t, "6.3") {
		t.Errorf("lo has native XDP: %+v", c["native mode"])
	}
	v := harness.NewVeth(t)
	knows := "bpf_xdp_metadata_rx_timestamp, bpf_xdp_metadata_rx_hash, bpf_xdp_metadata_rx_vlan_tag"
	for ifname, want := range map[string]string{v.Name: knows, harness.NewTap(t): "none: "} {
		if harness.KernelBefore(t, "6.7") {
			want = "unknown: "
		}
		if c := checks(t, nil, 0, ifname); !strings.HasPrefix(c["rx metadata"].Detail, want) {
			t.Errorf("%s: %+v, want %s", ifname, c["rx metadata"], want)
		}
	}
	v.SetMTU(t, 9000)
	if c := checks(t, nil, 0, v.Name); c["mtu"].State != check.Limited || c["driver"].Detail != "veth" {
		t.Errorf("%+v", c)
	}
	v.Attach(t, harness.Program(t, harness.Pass), harness.SKB)
	if c := checks(t, nil, 1, v.Name); c["attached"].State != check.Missing {
		t.Errorf("a legacy program: %+v", c["attached"])
	}
	full := harness.NewVeth(t)
	chain(t, full, strings.Fields(strings.Repeat(pass+" ", 10))...)
	if c := checks(t, nil, 0, full.Name); c["attached"].State != check.Limited {
		t.Errorf("a full chain: %+v", c["attached"])
	}
	older := harness.NewVeth(t)
	older.Attach(t, harness.NewForeign(t, 1).FD, harness.SKB)
	if c := checks(t, nil, 1, older.Name); c["attached"].State != check.Missing || !strings.Contains(c["attached"].Detail, "version 1") {
		t.Errorf("a chain of version 1: %+v", c["attached"])
	}
	if !harness.KernelBefore(t, "6.3") {
		bound := harness.NewVeth(t)
		chain(t, bound, "-n", "ask_hash", object("metadata"))
		if c := checks(t, nil, 0, bound.Name); c["attached"].State != check.Limited || !strings.Contains(c["attached"].Detail, "bound to its device") {
			t.Errorf("a chain that is bound to its device: %+v", c["attached"])
		}
	}
	if _, stderr, status := harness.Run(t, ours(), "check", "nonesuch"); status != 1 || stderr == "" {
		t.Errorf("no interface: exit status %d", status)
	}
}
