package guest

import (
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// TestGuest does what the test at XDPMUX_TEST_HOST commands, until that hangs up.
func TestGuest(t *testing.T) {
	n := &node{t: t, v: harness.NewVeth(t)}
	quiet := harness.NewVeth(t)
	if n.v.Name != Interface || quiet.Name != Quiet {
		t.Fatalf("the interfaces are %s and %s", n.v.Name, quiet.Name)
	}
	n.slips, n.wire = packetSocket(t, marked, n.v.Index), packetSocket(t, 0, n.v.PeerIndex)
	conn, err := net.Dial("tcp", os.Getenv("XDPMUX_TEST_HOST"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	server := rpc.NewServer()
	if err := server.RegisterName("Node", n); err != nil {
		t.Fatal(err)
	}
	// In this goroutine, which may end the test.
	for codec := jsonrpc.NewServerCodec(conn); server.ServeRequest(codec) == nil; {
	}
}

// node is what is commanded.
type node struct {
	t     *testing.T
	v     *harness.Veth
	slips int // a socket that gets what comes past the chain
	wire  int // one by which the flood is sent
	flood func() (stop error)
	count Packets
}

const marked = 0x88b6 // as in flood.bpf.c

func markedFrame() []byte {
	frame := harness.UDP4(harness.Flow{})
	frame[12], frame[13] = marked>>8, marked&0xff
	return frame
}

// packetSocket opens one for the frames of a protocol (0: none) that come in by an interface.
func packetSocket(t *testing.T, protocol uint16, ifindex int) (fd int) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol<<8 | protocol>>8, Ifindex: ifindex}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// Run runs a command of the shell.
func (n *node) Run(command string, out *string) error {
	said, err := exec.Command("sh", "-c", command).CombinedOutput()
	if *out = string(said); err != nil {
		return fmt.Errorf("%s: %w\n%s", command, err, said)
	}
	return nil
}

// Flood sends plain and marked frames in turn from now on, and with ipv6 as many of that.
func (n *node) Flood(ipv6 bool, _ *bool) error {
	frames := [][]byte{harness.UDP4(harness.Flow{}), markedFrame()}
	if ipv6 {
		frames = append(frames, harness.UDP6(harness.Flow{}), harness.UDP6(harness.Flow{}))
	}
	var ending atomic.Bool
	done := make(chan error, 1)
	go func() {
		for to := (&unix.SockaddrLinklayer{Ifindex: n.v.PeerIndex}); !ending.Load(); time.Sleep(5 * time.Millisecond) {
			for i := range 16 * len(frames) {
				if err := unix.Sendto(n.wire, frames[i%len(frames)], 0, to); err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
					done <- err
					return
				}
			}
		}
		done <- nil
	}()
	n.flood = func() error {
		ending.Store(true)
		return <-done
	}
	return nil
}

// Still stops the flood, and counts when all of it has been through the chain.
func (n *node) Still(_ bool, p *Packets) error {
	if err := n.flood(); err != nil {
		return err
	}
	n.v.Deliver(n.t, markedFrame()) // all before it have been through
	link, err := netlink.LinkByIndex(n.v.Index)
	if err != nil {
		return err
	}
	n.count.Received = link.Attrs().Statistics.RxPackets
	slips, err := unix.GetsockoptTpacketStats(n.slips, unix.SOL_PACKET, unix.PACKET_STATISTICS) // since the last call
	if err != nil {
		return err
	}
	n.count.Slipped += uint64(slips.Packets)
	for _, one := range harness.Status(n.t, n.v.Name).Programs {
		into := map[string]*[2]uint64{"front": &n.count.Front, "guard": &n.count.Guard, "behind": &n.count.Behind}[one.Name]
		if into != nil {
			copy(into[:], harness.Counters(n.t, one.ID))
		}
	}
	*p = n.count
	return nil
}
