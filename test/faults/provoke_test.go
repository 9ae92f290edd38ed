package faults

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/gopacket/gopacket/layers"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/test/harness"
)

// withoutCopy loads an object of which no copy is kept.
func withoutCopy(t *testing.T, v *harness.Veth) (file string) {
	t.Helper()
	file = harness.EditSection(t, pass, "license", func(text []byte) { copy(text, "GPL\x00") }) // nobody else loads that
	harness.MustRun(t, ours(), load(v, file)...)
	data, err := os.ReadFile(file)
	must(t, err)
	sum := sha256.Sum256(data)
	must(t, os.Remove("/var/lib/xdpmux/objects/"+hex.EncodeToString(sum[:])))
	return file
}

// boundToAnother has a program leave an interface, which is made anew then. The program is loaded
// still, for the device that is gone.
func boundToAnother(t *testing.T, _ *harness.Veth) []string {
	v := harness.NewVeth(t)
	harness.MustRun(t, ours(), load(v, "-n", "ask_hash", object("metadata"))...)
	fd, err := libbpf.ProgByID(harness.Status(t, v.Name).Programs[0].ID)
	must(t, err)
	t.Cleanup(func() { fd.Close() })
	harness.MustRun(t, ours(), "unload", "-a", v.Name)
	v.Close(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = v.Name
	anew := &netlink.Veth{LinkAttrs: attrs, PeerName: v.Peer}
	must(t, netlink.LinkAdd(anew))
	t.Cleanup(func() { must(t, netlink.LinkDel(anew)) })
	return []string{"undo", v.Name}
}

// lone has a program run without a dispatcher, and loads with these arguments.
func lone(object, name string, mode harness.Mode, args ...string) func(*testing.T, *harness.Veth) []string {
	return func(t *testing.T, v *harness.Veth) []string {
		v.Attach(t, harness.Lone(t, sample(object), name, nil).FD(), mode)
		return load(v, args...)
	}
}

func foreignChain(version int, args ...string) func(*testing.T, *harness.Veth) []string {
	return func(t *testing.T, v *harness.Veth) []string {
		v.Attach(t, harness.NewForeign(t, version).FD, harness.SKB)
		return append([]string{args[0], v.Name}, args[1:]...)
	}
}

const linkPin = "/sys/fs/bpf/faults-link"

func pinLink(t *testing.T, fd int) error {
	t.Cleanup(func() { os.Remove(linkPin) })
	return libbpf.ObjPin(fd, linkPin)
}

// fewQueues makes a pair whose driver refuses native XDP.
func fewQueues(t *testing.T, _ *harness.Veth) []string {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.NumRxQueues, attrs.NumTxQueues = "narrow", 1, 1
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "wide", PeerNumTxQueues: 4, PeerNumRxQueues: 4}))
	t.Cleanup(func() { must(t, netlink.LinkDel(&netlink.Dummy{LinkAttrs: attrs})) })
	for _, name := range []string{"narrow", "wide"} {
		link, err := netlink.LinkByName(name)
		must(t, err)
		must(t, netlink.LinkSetUp(link))
	}
	return []string{"load", "narrow", pass}
}

// bondOfOtherMode makes a bond whose mode has no XDP.
func bondOfOtherMode(t *testing.T, _ *harness.Veth) []string {
	harness.MustRun(t, "ip", "link", "add", "balanced", "type", "bond", "mode", "balance-tlb")
	t.Cleanup(func() { harness.MustRun(t, "ip", "link", "del", "balanced") })
	return []string{"load", "balanced", pass}
}

// changeAllTheTime puts a new chain on the interface whenever somebody opens the lock of all pins.
// A tool does that just before it changes a chain. The kernel holds the tool until the new chain
// is there (fanotify(7)).
func changeAllTheTime(t *testing.T, v *harness.Veth) (stop func()) {
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK, unix.O_RDONLY|unix.O_CLOEXEC)
	must(t, err)
	watch := os.NewFile(uintptr(fd), "fanotify")
	t.Cleanup(func() { watch.Close() }) // else a failed test would leave others waiting
	must(t, unix.FanotifyMark(fd, unix.FAN_MARK_ADD, unix.FAN_OPEN_PERM|unix.FAN_ONDIR, unix.AT_FDCWD, "/sys/fs/bpf/xdp"))
	done := make(chan error)
	go func() {
		changes := 0
		for {
			var event unix.FanotifyEventMetadata
			if err := binary.Read(watch, binary.NativeEndian, &event); err != nil {
				t.Logf("changed %d times", changes)
				done <- err
				return
			}
			err := errors.Join(putEmptyChain(t, v.Index),
				binary.Write(watch, binary.NativeEndian, unix.FanotifyResponse{Fd: event.Fd, Response: unix.FAN_ALLOW}),
				unix.Close(int(event.Fd)))
			if err != nil {
				t.Error(err)
			}
			changes++
		}
	}()
	return func() {
		must(t, watch.Close())
		if err := <-done; !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
		must(t, libbpf.XDPAttach(v.Index, -1, libbpf.XDPNative, -1))
	}
}

// deliverAllTheTime delivers packets, a hundred at a time.
func deliverAllTheTime(t *testing.T, v *harness.Veth) (stop func()) {
	ended, end := context.WithCancel(context.Background())
	var delivering sync.WaitGroup
	delivering.Add(1)
	go func() {
		defer delivering.Done()
		for ended.Err() == nil {
			v.Deliver(t, slices.Repeat([][]byte{make([]byte, 1000)}, 100)...)
		}
	}()
	return func() {
		end()
		delivering.Wait()
	}
}

func putEmptyChain(t *testing.T, ifindex int) error {
	obj, main, err := harness.OpenDispatcher(t, 2)
	if err != nil {
		return err
	}
	defer obj.Close()
	return errors.Join(
		obj.Maps()[0].SetInitialValue(append([]byte{236, 2, 0, 0}, make([]byte, 3*4*10)...)),
		obj.Load(),
		libbpf.XDPAttach(ifindex, main.FD(), libbpf.XDPNative, -1))
}

// endedInLine ends a command by a signal, once it waits for a lock of flock(2).
const endedInLine = `
"$@" &
while kill -0 $! && ! grep -q -- "-> FLOCK .* $! " /proc/locks; do
	sleep 0.01
done
kill $!
wait $!
`

func locked(t *testing.T, _ *harness.Veth) (stop func()) { return harness.LockPins(t) }

// rehearsal is the arguments of one on an interface.
// filterFault is a filter that is wrong.
func filterFault(words ...string) fault {
	return fault{prepare: func(t *testing.T, v *harness.Veth) []string {
		chain(t, v, pass)
		return append([]string{"trace", v.Name}, words...)
	}, remedy: "man pcap-filter"}
}

func rehearsal(v *harness.Veth, pcap string) []string {
	return []string{"unload", "-a", v.Name, "--dry-run", "--pcap", pcap}
}

// capture is a file with one packet of that many bytes.
func capture(t *testing.T, length int) string {
	return harness.WritePcap(t, layers.LinkTypeEthernet, make([]byte, length))
}

// tried has a chain go for a while, until the test ends.
func tried(t *testing.T, v *harness.Veth) {
	t.Helper()
	chain(t, v, pass)
	harness.MustRun(t, ours(), "unload", "-a", v.Name, "--confirm", "10m")
	t.Cleanup(func() { harness.MustRun(t, ours(), "revert", v.Name) })
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, data, 0o600))
}
