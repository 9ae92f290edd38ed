package faults

import (
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

// Every command takes an alternative name of an interface, long ones too, which need an
// attribute of their own.
func TestAlternativeNames(t *testing.T) {
	harness.NoLeak(t)
	const long = "an-alternative-name-of-more-than-15-characters"
	for _, name := range []string{"shortalt", long, strings.Repeat("x", 127)} {
		v := harness.NewVeth(t)
		harness.MustRun(t, "ip", "link", "property", "add", "dev", v.Name, "altname", name)
		for _, args := range [][]string{
			{"check", name},
			{"load", name, pass},
			{"load", v.Name, pass},
			{"set", name, "--id", "first", "-P", "7"},
			{"replace", name, "--id", "first", sample("xdp_count")},
			{"map", "dump", name, "packets"},
			{"stats", name, "--count", "1", "--interval", "10ms"},
			{"export", name},
			{"clean", name},
		} {
			if name != long && args[0] != "load" {
				continue
			}
			for i := range args {
				if args[i] == "first" {
					args[i] = fmtID(status(t, name, 0).Programs[0].ID)
				}
			}
			if stdout, stderr, exit := harness.Run(t, ours(), args...); exit != 0 {
				t.Errorf("%q: exit status %d\n%s%s", args, exit, stdout, stderr)
			}
		}
		if _, stderr, exit := harness.Run(t, ours(), "load", v.Name+","+name, pass); exit != 1 || !strings.Contains(stderr, "named twice") {
			t.Errorf("both names: exit status %d, %s", exit, stderr)
		}
		c := status(t, name, 0)
		if c.Interface.Name != v.Name || len(c.Programs) != 2 {
			t.Errorf("%s: %+v", name, c)
		}
		if ours, native := harness.MustRun(t, ours(), "status", name), harness.MustRun(t, "xdp-loader", "status", v.Name); ours != native {
			t.Errorf("xdpmux:\n%s\nxdp-loader:\n%s", ours, native)
		}
		harness.MustRun(t, ours(), "unload", "-a", name)
	}
	for _, name := range []string{"", strings.Repeat("x", 128), "a-name-that-no-interface-has"} {
		if _, stderr, exit := harness.Run(t, ours(), "status", name); exit != 1 || !strings.Contains(stderr, "no interface") {
			t.Errorf("%q: exit status %d, %s", name, exit, stderr)
		}
	}
}

// A script whose variable isn't set gives an empty name of a namespace. That doesn't mean "here".
func TestNetnsWithoutName(t *testing.T) {
	for _, args := range [][]string{{"status", "--netns", ""}, {"status", "--netns="}, {"clean", "--netns="}} {
		if stdout, stderr, exit := harness.Run(t, ours(), args...); exit != 1 || stdout != "" || !strings.Contains(stderr, "the name of the network namespace is empty") {
			t.Errorf("%q: exit status %d\n%s%s", args, exit, stdout, stderr)
		}
	}
}

// If a command can't write its output, that is an error.
func TestFullDevice(t *testing.T) {
	v := harness.NewVeth(t)
	for _, args := range [][]string{
		{"features", v.Name}, {"features", "--json", v.Name}, {"check"}, {"check", "--json"}, {"help"}, {"help", "load"}, {"load", "--help"},
		{"--version"}, {"status"}, {"status", "--json"}, {"clean"}, {"clean", "--dry-run"}, {"inspect", pass}, {"inspect", "--json", pass},
		{"export"}, {"completion", "bash"}, {"map", "list", v.Name}, {"plan", "-f", "/dev/null"},
	} {
		if harness.KernelBefore(t, "6.3") && args[0] == "features" {
			continue // it is an error of its own
		}
		_, stderr, exit := harness.Run(t, "sh", append([]string{"-c", `exec "$0" "$@" >/dev/full`, ours()}, args...)...)
		if exit != 1 || !strings.Contains(stderr, "no space left on device") {
			t.Errorf("%q: exit status %d, %q", args, exit, stderr)
		}
	}
}
