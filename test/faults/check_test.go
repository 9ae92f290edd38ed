package faults

import (
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/test/kernel"
)

// checks are what check --json finds, by name.
func checks(t *testing.T, wrap []string, exit int, args ...string) map[string]dispatcher.Check {
	t.Helper()
	stdout, stderr, got := run(t, wrap, ours(), append([]string{"check", "--json"}, args...))
	if got != exit {
		t.Errorf("exit status %d, want %d\n%s%s", got, exit, stdout, stderr)
	}
	byName := map[string]dispatcher.Check{}
	for _, c := range decode[[]dispatcher.Check](t, stdout) {
		if (c.State != dispatcher.CheckOK) != (c.Remedy != "") {
			t.Errorf("%s is %s with the remedy %q", c.Name, c.State, c.Remedy)
		}
		byName[c.Name] = c
	}
	return byName
}

// What check says of a whole machine, and of machines that lack one thing, is what
// loading two programs there meets.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name    string
		wrap    []string
		missing []string
	}{
		{"whole", nil, nil},
		{"no bpffs", withoutBPFFS, []string{"bpffs"}},
		{"no CAP_NET_ADMIN", withoutA("net_admin"), []string{"CAP_NET_ADMIN"}},
		{"no CAP_SYS_ADMIN", withoutA("sys_admin"), []string{"CAP_SYS_ADMIN"}},
		{"read-only bpffs", []string{"unshare", "--mount", "sh", "-c", `mount -o remount,bind,ro /sys/fs/bpf && exec "$@"`, "sh"}, []string{"bpffs"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			kernel.NoLeak(t)
			v := kernel.NewVeth(t)
			exit := min(len(c.missing), 1)
			found := checks(t, c.wrap, exit, v.Name)
			for _, name := range c.missing {
				if found[name].State != dispatcher.CheckMissing {
					t.Errorf("%s: %+v", name, found[name])
				}
			}
			_, stderr, status := run(t, c.wrap, ours(), []string{"load", v.Name, pass, pass})
			if status != exit {
				t.Errorf("load: exit status %d, want %d\n%s", status, exit, stderr)
			}
			kernel.Run(t, ours(), "unload", "-a", v.Name)
		})
	}
}

// Each probe agrees with what it is a probe of.
func TestCheckOfProbes(t *testing.T) {
	kernel.NoLeak(t)
	found := checks(t, nil, 0)
	for _, name := range []string{"xdp", "freplace", "fentry", "fexit"} {
		if found[name].State != dispatcher.CheckOK {
			t.Errorf("%+v", found[name])
		}
	}
	v := kernel.NewVeth(t)
	_, _, status := kernel.Run(t, ours(), "load", v.Name, object("adjust_head"))
	if (status == 0) != (found["packet data"].State == dispatcher.CheckOK) {
		t.Errorf("a program that moves the head: exit status %d, check says %+v", status, found["packet data"])
	}
	kernel.Run(t, ours(), "unload", "-a", v.Name)
}

func TestCheckOfInterfaces(t *testing.T) {
	kernel.NoLeak(t)
	if c := checks(t, nil, 0, "lo"); c["native mode"].State == dispatcher.CheckOK && !older(t, "6.3") {
		t.Errorf("lo has native XDP: %+v", c["native mode"])
	}
	v := kernel.NewVeth(t)
	v.SetMTU(t, 9000)
	if c := checks(t, nil, 0, v.Name); c["mtu"].State != dispatcher.CheckLimited || c["driver"].Detail != "veth" {
		t.Errorf("%+v", c)
	}
	v.Attach(t, kernel.Program(t, kernel.Pass), kernel.SKB)
	if c := checks(t, nil, 1, v.Name); c["attached"].State != dispatcher.CheckMissing {
		t.Errorf("a legacy program: %+v", c["attached"])
	}
	if _, stderr, status := kernel.Run(t, ours(), "check", "nonesuch"); status != 1 || stderr == "" {
		t.Errorf("no interface: exit status %d", status)
	}
}
