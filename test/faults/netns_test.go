package faults

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/xdpmux/xdpmux/test/harness"
)

// sameIndex makes an interface with the index 4000 in a new network namespace with
// a name, and a chain on it. It returns the directory of the chain's pins.
func sameIndex(t *testing.T, name string) (pins string) {
	t.Helper()
	harness.MustRun(t, "ip", "netns", "add", name)
	t.Cleanup(func() { harness.MustRun(t, "ip", "netns", "del", name) })
	harness.MustRun(t, "ip", "-n", name, "link", "add", "same", "index", "4000", "type", "veth", "peer", "name", "other")
	harness.MustRun(t, ours(), "load", "--netns", name, "same", pass)
	t.Cleanup(func() { harness.MustRun(t, ours(), "unload", "--netns", name, "-a", "same") })
	stdout := harness.MustRun(t, ours(), "status", "--netns", "/run/netns/"+name, "same")
	fields := strings.Fields(strings.Split(stdout, "\n")[4])
	pins = fmt.Sprintf("/sys/fs/bpf/xdp/dispatch-4000-%s", fields[3])
	if _, err := os.Stat(pins); err != nil {
		t.Fatalf("no pins at %s:\n%s", pins, stdout)
	}
	return pins
}

// Two network namespaces each have an interface of the same index, with a chain. clean removes
// only the pins of a third one, which has disappeared.
func TestCleanKeepsOtherNamespaces(t *testing.T) {
	harness.NoLeak(t)
	blue, green := sameIndex(t, "blue"), sameIndex(t, "green")
	gone := harness.NewVeth(t)
	harness.MustRun(t, ours(), "load", gone.Name, pass)
	left := status(t, gone.Name, 0).Pins
	link, err := netlink.LinkByName(gone.Name)
	must(t, err)
	must(t, netlink.LinkDel(link))

	here := []string{}
	for _, ns := range [][]string{nil, {"--netns", "blue"}, {"--netns", "green"}} {
		stdout := harness.MustRun(t, ours(), append([]string{"clean", "--dry-run"}, ns...)...)
		if !strings.Contains(stdout, "would remove "+left+"\n") || strings.Contains(stdout, "would remove "+blue) || strings.Contains(stdout, "would remove "+green) {
			t.Errorf("clean --dry-run %v:\n%s", ns, stdout)
		}
		here = append(here, stdout)
	}
	for _, want := range []string{"kept " + blue + ", the chain on same in network namespace blue\n", "kept " + green + ", the chain on same in network namespace green\n"} {
		if !strings.Contains(here[0], want) {
			t.Errorf("no %q in:\n%s", want, here[0])
		}
	}
	if strings.Contains(here[1], blue) || !strings.Contains(here[1], green) {
		t.Errorf("in blue:\n%s", here[1])
	}
	if _, err := os.Stat(left); err != nil {
		t.Errorf("--dry-run has removed: %v", err)
	}
	harness.MustRun(t, ours(), "clean")
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("clean has left %s: %v", left, err)
	}
	for _, dir := range []string{blue, green} {
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("clean has removed the pins of a running chain: %v", err)
		}
	}
}

// A namespace without a name, in which only a process is.
func TestCleanKeepsProcesses(t *testing.T) {
	harness.NoLeak(t)
	script := `ip link add same index 4001 type veth peer name other && "$0" load same ` + pass + ` && "$0" clean --netns /proc/$PPID/ns/net && "$0" status same && "$0" load same ` + pass + ` && "$0" unload -a same`
	stdout, stderr, exit := harness.Run(t, "unshare", "--net", "sh", "-c", script, ours())
	if exit != 0 || !strings.Contains(stdout, "kept /sys/fs/bpf/xdp/dispatch-4001-") || !strings.Contains(stdout, "the network namespace of process ") {
		t.Errorf("exit status %d\n%s%s", exit, stdout, stderr)
	}
}

func TestNetnsThatIsNone(t *testing.T) {
	for name, want := range map[string]string{"nonesuch": "no network namespace", "/proc/self/ns/mnt": "not a network namespace", "/etc/passwd": "not a network namespace"} {
		_, stderr, exit := harness.Run(t, ours(), "status", "--netns", name)
		if exit != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit status %d, %q", name, exit, stderr)
		}
	}
}
