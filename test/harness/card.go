package harness

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// envCards says which cards the VM was booted with (-cards of test/vm), such as
// "vmxnet3=52:54:00:00:02:00,52:54:00:00:02:01".
const envCards = "XDPMUX_CARDS"

// HasCards says whether the VM was booted with two cards of that kind. Kinds of tap devices are
// missing where the host can't make these, which test/vm tells.
func HasCards(kind string) bool { return cardMACs(kind) != nil }

func cardMACs(kind string) []string {
	for word := range strings.FieldsSeq(os.Getenv(envCards)) {
		if macs, ok := strings.CutPrefix(word, kind+"="); ok {
			return strings.Split(macs, ",")
		}
	}
	return nil
}

// CardNames loads the driver of the two cards of that kind and returns what the kernel calls
// them. At the end of the test the driver is unloaded again, and the cards are gone with it.
func CardNames(t testing.TB, kind string) (names [2]string) {
	t.Helper()
	macs := cardMACs(kind)
	if len(macs) != 2 {
		t.Fatalf("no cards %s in this machine: %s is %q", kind, envCards, os.Getenv(envCards))
	}
	driver, _, _ := strings.Cut(kind, "-")
	t.Cleanup(func() {
		// Unless other cards had the same driver.
		if _, err := os.Stat("/sys/module/" + driver); err == nil {
			MustRun(t, "modprobe", "-r", driver)
		}
	})
	Run(t, "modprobe", "virtio_pci") // built into newer kernels
	MustRun(t, "modprobe", driver)
	var indexes []int
	t.Cleanup(func() {
		for _, index := range indexes {
			if err := RemovePins(index); err != nil {
				t.Error(err)
			}
		}
	})
	if !Eventually(func() bool { // the driver looks for its cards by and by
		indexes = nil
		links, err := netlink.LinkList()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range links {
			if end := slices.Index(macs, l.Attrs().HardwareAddr.String()); end >= 0 {
				names[end], indexes = l.Attrs().Name, append(indexes, l.Attrs().Index)
			}
		}
		return len(indexes) == len(macs)
	}) {
		t.Fatalf("cards %s (%q) don't appear", kind, macs)
	}
	return names
}

// Cards are two network cards of the VM with a cable between them, without addresses, and both
// up. Nothing is sent on them of itself.
type Cards struct {
	Name string // in the namespace of the test
	Peer string // in Far
	Far  *Netns
	MAC  net.HardwareAddr // of Name: a card takes in what is for it alone

	in  *Capture
	out *tap
}

// NewCards gives the test the two cards of that kind; see CardNames.
func NewCards(t testing.TB, kind string) *Cards {
	t.Helper()
	names := CardNames(t, kind)
	c := &Cards{Name: names[0], Peer: names[1], Far: NewNetns(t)}
	peer, err := netlink.LinkByName(c.Peer)
	if err == nil {
		err = netlink.LinkSetNsFd(peer, c.Far.fd)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.MAC = StartInterface(t, c.Name).HardwareAddr
	c.in = NewCapture(t, c.Name)
	c.Far.Do(t, func() { c.out, err = openTap(StartInterface(t, c.Peer).Index, 0) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.out.close)
	return c
}

// StartInterface sets an interface up on which nothing is sent of itself, and waits until it can
// send.
func StartInterface(t testing.TB, name string) *netlink.LinkAttrs {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = errors.Join(hush(link), netlink.LinkSetUp(link), waitUp(name))
	}
	if err != nil {
		t.Fatal(err)
	}
	return link.Attrs()
}

// Capture has the frames that come in on an interface, behind its XDP program.
type Capture struct {
	name string
	tap  *tap
}

// NewCapture captures on an interface until the end of the test.
func NewCapture(t testing.TB, name string) *Capture {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	tap, err := openTap(link.Attrs().Index, unix.ETH_P_ALL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tap.close)
	return &Capture{name, tap}
}

// While calls send, which sends frames and then the frame last. It returns those that came in
// before the last one.
func (c *Capture) While(t testing.TB, last []byte, send func()) (frames [][]byte) {
	t.Helper()
	if err := c.tap.drain(); err != nil {
		t.Fatal(err)
	}
	send()
	frames, err := c.tap.until(last)
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	return frames
}

// waitUp waits until an interface can send. A driver may take it down for a moment to change it.
func waitUp(name string) (err error) {
	var link netlink.Link
	up := Eventually(func() bool {
		if link, err = netlink.LinkByName(name); err != nil {
			return true
		}
		_, tap := link.(*netlink.Tuntap) // it can send at once, and never says so
		return tap || link.Attrs().OperState == netlink.OperUp
	})
	if err == nil && !up {
		err = fmt.Errorf("%s doesn't come up", name)
	}
	return err
}

// SetMTU sets the MTU of Name. That of Peer becomes the largest that tests use.
func (c *Cards) SetMTU(t testing.TB, mtu int) {
	t.Helper()
	set := func(name string, mtu int) {
		MustRun(t, "ip", "link", "set", name, "mtu", fmt.Sprint(mtu))
		if err := waitUp(name); err != nil {
			t.Fatal(err)
		}
	}
	set(c.Name, mtu)
	c.Far.Do(t, func() { set(c.Peer, 9000) })
}

// Send sends frames on Peer.
func (c *Cards) Send(t testing.TB, frames ...[]byte) {
	t.Helper()
	for _, f := range frames {
		if err := c.out.send(f); err != nil {
			t.Fatalf("send %d bytes on %s: %v", len(f), c.Peer, err)
		}
	}
}

// Deliver sends frames on Peer, and a last one that a program has to pass. It returns those that
// came in before the last one. All are to be of one flow, which comes in one queue, in order.
func (c *Cards) Deliver(t testing.TB, last []byte, frames ...[]byte) (passed [][]byte) {
	t.Helper()
	return c.in.While(t, last, func() { c.Send(t, append(slices.Clip(frames), last)...) })
}
