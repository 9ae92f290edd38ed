package harness

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Veth is a pair of connected interfaces without addresses: what is sent on Peer
// arrives at Name. Neither the kernel nor anything else sends on them of itself, so
// that a frame seen is a frame of the test's.
type Veth struct {
	Name      string // the interface to attach programs to
	Index     int
	Peer      string // the interface that frames are sent on
	PeerIndex int
	MAC       net.HardwareAddr // of Name
	PeerMAC   net.HardwareAddr

	netns int       // a descriptor of the namespace that both are in
	wire  *wire     // sockets, opened with the first frame
	once  sync.Once // closes
}

// vethCount numbers the pairs of this process, so that names are never used twice:
// libxdp's leftovers of one test can't be taken for another's.
var vethCount atomic.Int32

// NewVeth makes a pair in the calling thread's network namespace (see Netns.Do),
// both ends up. At the end of the test it is deleted, with whatever is attached to
// it and the pins that libxdp keeps for it.
func NewVeth(t testing.TB) *Veth {
	t.Helper()
	v, err := newVeth()
	if v != nil {
		t.Cleanup(func() {
			if err := v.close(); err != nil {
				t.Errorf("remove %s: %v", v.Name, err)
			}
		})
	}
	if err != nil {
		t.Fatalf("new veth pair: %v", err)
	}
	return v
}

// newVeth returns a pair also with an error if there is something to close.
func newVeth() (*Veth, error) {
	netns, err := currentNetns()
	if err != nil {
		return nil, err
	}
	v := &Veth{netns: netns}
	// Names that are taken are those of another test process, or of one that was
	// killed.
	for {
		n := vethCount.Add(1) - 1
		v.Name, v.Peer = fmt.Sprintf("xm%da", n), fmt.Sprintf("xm%db", n)
		attrs := netlink.NewLinkAttrs()
		attrs.Name = v.Name
		err = netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: v.Peer})
		if !errors.Is(err, unix.EEXIST) {
			break
		}
	}
	if err != nil {
		unix.Close(netns)
		return nil, fmt.Errorf("add %s: %w", v.Name, err)
	}
	for _, name := range []string{v.Name, v.Peer} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return v, fmt.Errorf("%s: %w", name, err)
		}
		if name == v.Name {
			v.Index, v.MAC = link.Attrs().Index, link.Attrs().HardwareAddr
		} else {
			v.PeerIndex, v.PeerMAC = link.Attrs().Index, link.Attrs().HardwareAddr
		}
		if err := hush(link); err != nil {
			return v, err
		}
	}
	return v, errors.Join(setUp(v.Name), setUp(v.Peer))
}

// hush keeps the kernel from sending anything of itself on an interface that isn't up yet.
func hush(link netlink.Link) error {
	// Done before it is up, so that it gets no link-local address. So there is no
	// neighbour discovery, router solicitation or multicast report. The file shows
	// the namespace of the thread that opens it, and is not there without IPv6.
	name := link.Attrs().Name
	err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := netlink.LinkSetARPOff(link); err != nil {
		return fmt.Errorf("%s: ARP off: %w", name, err)
	}
	return nil
}

// Close deletes the pair before the test ends. Calling it again does nothing.
func (v *Veth) Close(t testing.TB) {
	t.Helper()
	if err := v.close(); err != nil {
		t.Fatalf("remove %s: %v", v.Name, err)
	}
}

func (v *Veth) close() (err error) {
	v.once.Do(func() {
		if v.wire != nil {
			v.wire.close()
		}
		err = errors.Join(v.delete(), RemovePins(v.Index), unix.Close(v.netns))
	})
	return err
}

// delete deletes both ends; programs on them are detached by the kernel.
func (v *Veth) delete() error {
	return v.inNetns(func() error {
		link, err := netlink.LinkByName(v.Name)
		if errors.As(err, &netlink.LinkNotFoundError{}) {
			return nil // the test has deleted it
		} else if err != nil {
			return err
		}
		return netlink.LinkDel(link)
	})
}

// RemovePins removes what libxdp and xdpmux keep under an interface's number: they learn of
// a vanished interface only by `clean`.
func RemovePins(index int) error {
	var errs []error
	for _, dir := range bpffsDirs() {
		dirs, _ := filepath.Glob(filepath.Join(dir, "xdp", fmt.Sprintf("dispatch-%d-*", index)))
		for _, dir := range append(dirs, filepath.Join(dir, "xdp", fmt.Sprintf("chain-%d", index))) {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(errs...)
}

// SetMTU sets the MTU of both ends.
func (v *Veth) SetMTU(t testing.TB, mtu int) {
	t.Helper()
	err := v.inNetns(func() error {
		for _, name := range []string{v.Name, v.Peer} {
			link, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			if err := netlink.LinkSetMTU(link, mtu); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("set MTU %d: %v", mtu, err)
	}
}

// inNetns calls f in the namespace of the pair, wherever the caller is now.
func (v *Veth) inNetns(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(v.netns, unix.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("setns", err)
		}
		return f()
	})
}

// FillShortcut keeps the kernel from patching its own code at each swap. The kernel calls the
// programs of interfaces through a piece of code (bpf_dispatcher_xdp) that has room for 48
// programs. It rewrites that code whenever one of them comes or goes, unless the code is full.
// Under a flood of packets a processor that qemu emulates may run just there, and trap on half
// of the new code. Besides, the kernel waits for the packets under way each time, so that a
// test couldn't tell whether xdpmux does.
func FillShortcut(t testing.TB) {
	t.Helper()
	for range 24 {
		v := NewVeth(t)
		v.Attach(t, Program(t, Pass), Native)
		v.AcceptReturned(t)
	}
}
