package faults

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/xdpmux/xdpmux/test/harness"
)

// rename gives the interface a name that the kernel allows, odd as it may be.
func rename(t *testing.T, v *harness.Veth, name string) {
	t.Helper()
	link, err := netlink.LinkByIndex(v.Index)
	must(t, err)
	must(t, netlink.LinkSetDown(link))
	must(t, netlink.LinkSetName(link, name))
	must(t, netlink.LinkSetUp(link))
	v.Name = name
}

// renamed copies an object to path, with to in place of each name from, which is as long.
func renamed(t *testing.T, file, from, to, path string) string {
	t.Helper()
	if len(from) != len(to) {
		t.Fatalf("%q and %q differ in length", from, to)
	}
	data, err := os.ReadFile(file)
	must(t, err)
	if !bytes.Contains(data, []byte(from+"\x00")) {
		t.Fatalf("%s has no %s", file, from)
	}
	must(t, os.WriteFile(path, bytes.ReplaceAll(data, []byte(from+"\x00"), []byte(to+"\x00")), 0o600))
	return path
}

// Names of interfaces, programs, maps, sections and files, and licences, can hold what
// steers a terminal. None of it gets there, from no command.
func TestOddNames(t *testing.T) {
	harness.NoLeak(t)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	v, other := harness.NewVeth(t), harness.NewVeth(t)
	rename(t, v, "x\x1b]0;\u202ey\x9b")
	rename(t, other, "z\x1b]0;\u202ey")
	// The kernel takes Latin-1 letters for those of a name.
	latin := renamed(t, sample("xdp_pass"), "xdp_pass", "xdp_p\xe9\xfcs", file("\x1b[31m\xff.o"))
	counting := renamed(t, sample("xdp_count"), "packets", "p\xe9ckets", file("\u202e\n.o"))
	escapes := renamed(t, object("inspect"), "xdp", "\x1b[m", file("escapes\x1b[31m.o"))
	license := renamed(t, sample("xdp_pass"), "GPL", "\x1b\x9b\r", file("license.o"))
	maps := renamed(t, object("maps"), "a_hash", "\x1b[31m\x07", file("maps.o"))
	broken := file("broken\x1b[31m.o")
	must(t, os.WriteFile(broken, []byte("\x7fELF\x1b[31m"), 0o600))
	packets := file("packets\x1b[31m.pcap")
	writePcap(t, packets, harness.UDP4(harness.Flow{}))
	state := file("state\x1b[31m.yaml")
	text := fmt.Sprintf("interfaces:\n- name: %s\n  programs:\n  - {name: \"odd\\e[31m\", object: %s}\n", strconv.Quote(other.Name), strconv.Quote(file("ok\x1b[31m.o")))
	must(t, os.WriteFile(state, []byte(text), 0o600))
	renamed(t, sample("xdp_pass"), "xdp_pass", "xdp_pass", file("ok\x1b[31m.o"))
	badState := file("bad\x1b[31m.yaml")
	must(t, os.WriteFile(badState, []byte("interfaces: [{\"name\\e[31m\": 1}]\n"), 0o600))

	run := func(want int, args ...string) (stdout string) {
		t.Helper()
		stdout, stderr, exit := harness.Run(t, ours(), args...)
		if exit != want {
			t.Errorf("%q: exit status %d, want %d\n%q\n%q", args, exit, want, stdout, stderr)
		}
		for _, line := range strings.Split(stdout+stderr, "\n") {
			if args[0] == "features" {
				line = strings.ReplaceAll(line, "\t", "")
			}
			if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return !strconv.IsPrint(r) }) {
				t.Errorf("%q: %q", args, line)
			}
		}
		return stdout
	}
	contains := func(text string, words ...string) {
		t.Helper()
		for _, word := range words {
			if !strings.Contains(text, word) {
				t.Errorf("no %s in\n%s", word, text)
			}
		}
	}
	name := `x\x1b]0;\u202ey\x9b`
	contains(run(0, "inspect", latin, counting, escapes, license, maps), `\x1b[31m\xff.o`, `\u202e\n.o`, `xdp_p\xe9\xfcs`, `p\xe9ckets`, `\x1b\x9b\r`, `\x1b[31m\a`)
	run(0, "inspect", "--json", latin, counting, escapes, license, maps)
	run(1, "inspect", broken, file("none\x1b[31m.o"))
	run(0, "load", "--require-dispatcher", v.Name, latin, counting)
	t.Cleanup(func() { harness.MustRun(t, ours(), "unload", "-a", v.Name) })
	run(1, "load", v.Name, broken)
	run(1, "load", "-n", "\x1b[31m", v.Name, latin)
	run(1, "load", "-s", "\x1b[31m", v.Name, latin)
	run(1, "load", "-vv", v.Name, maps) // the kernel takes no such map
	run(1, "load", v.Name+"no", latin)
	contains(run(0, "status"), name, `xdp_p\xe9\xfcs`)
	contains(run(0, "status", v.Name), name)
	run(0, "status", "--json", v.Name)
	if !harness.KernelBefore(t, "6.3") {
		run(0, "features", v.Name)
		run(0, "features", "--json", v.Name)
	}
	run(0, "check", v.Name)
	run(0, "check", "--json", v.Name)
	contains(run(0, "map", "list", v.Name), `p\xe9ckets`, `xdp_count`)
	run(0, "map", "list", "--json", v.Name)
	run(0, "map", "dump", v.Name, "p\xe9ckets")
	run(0, "map", "dump", "--json", v.Name, "p\xe9ckets")
	run(1, "map", "dump", v.Name, "\x1b[31m")
	contains(run(0, "stats", "--count", "1", "--interval", "10ms", v.Name), name, `xdp_p\xe9\xfcs`)
	contains(run(0, "stats", "--prometheus", "--interval", "10ms", v.Name), `interface="x\\x1b]0;\\u202ey`)
	run(0, "stats", "--json", "--count", "1", "--interval", "10ms", v.Name)
	contains(run(0, "trace", "--pcap", packets, v.Name), `xdp_p\xe9\xfcs XDP_PASS`)
	run(0, "trace", "--json", "--pcap", packets, v.Name)
	run(1, "trace", "--pcap", broken, v.Name)
	run(1, "set", "--name", "\x1b[31m", "-P", "1", v.Name)
	run(1, "replace", "--name", "xdp_p\xe9\xfcs", v.Name, broken)
	run(0, "replace", "--name", "xdp_p\xe9\xfcs", "--keep-maps", v.Name, latin)
	run(1, "unload", "-i", "1", v.Name)
	run(1, "run", v.Name, counting, "--map", "\x1b[31m")
	run(0, "clean", v.Name)
	run(1, "--netns", "\x1b[31m", "status")
	run(1, "\x1b[31m")

	run(1, "plan", "-f", badState)
	contains(run(2, "plan", state), `odd\x1b[31m`, `ok\x1b[31m.o`, `z\x1b]0;\u202ey`)
	run(2, "plan", "--json", state)
	run(0, "apply", state)
	t.Cleanup(func() { harness.MustRun(t, ours(), "unload", "-a", other.Name) })
	exported := run(0, "export", other.Name)
	must(t, os.WriteFile(file("exported.yaml"), []byte(exported), 0o600))
	contains(run(0, "plan", "-f", file("exported.yaml")), "nothing to do")
	must(t, os.WriteFile(file("exported.json"), []byte(run(0, "export", "--json", other.Name)), 0o600))
	contains(run(0, "plan", "-f", file("exported.json")), "nothing to do")
	run(1, "export", v.Name) // which is no UTF-8
}

// A name that a terminal can print is as xdp-loader prints it, whatever its letters.
func TestPrintableNames(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	rename(t, v, "é程\"\\'x")
	chain(t, v, sample("xdp_pass"))
	if diff := cmp.Diff(harness.MustRun(t, "xdp-loader", "status", v.Name), harness.MustRun(t, ours(), "status", v.Name)); diff != "" {
		t.Errorf("-xdp-loader +xdpmux\n%s", diff)
	}
}
