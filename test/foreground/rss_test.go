package foreground

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/test/harness"
)

var (
	rssExample = "../../build/examples/cpumap_rss"
	rssObject  = harness.Sample("xdp_cpumap_rss")
	queueSize  = 192
)

// capture tells on which CPU the stack got a frame. It has a socket for each CPU, to which the
// kernel gives the frames of that (PACKET_FANOUT_CPU in packet(7)). The program and its counters
// have no part in it.
type capture struct{ fds []int }

func newCapture(t *testing.T, v *harness.Veth, cpus int) *capture {
	t.Helper()
	c := &capture{}
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
	for range cpus {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		c.fds = append(c.fds, fd)
		for _, err := range []error{
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20),
			unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
			unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: v.Index}),
			unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT, v.Index&0xffff|unix.PACKET_FANOUT_CPU<<16),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return c
}

// receive waits for n frames and returns the CPU of each, by the last 4 bytes.
func (c *capture) receive(t *testing.T, n int, into map[uint32]int) {
	t.Helper()
	polls := make([]unix.PollFd, len(c.fds))
	for i, fd := range c.fds {
		polls[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	}
	buf := make([]byte, 4096)
	for deadline := time.Now().Add(10 * time.Second); n > 0; {
		left := time.Until(deadline)
		if left <= 0 {
			t.Fatalf("%d frames didn't arrive", n)
		}
		if _, err := unix.Poll(polls, int(left.Milliseconds())+1); err != nil && err != unix.EINTR {
			t.Fatal(err)
		}
		for cpu, fd := range c.fds {
			for {
				size, err := unix.Read(fd, buf)
				if err != nil {
					break // nothing more for now
				}
				into[binary.BigEndian.Uint32(buf[size-4:])] = cpu
				n--
			}
		}
	}
}

// spread sends frames, fewer at a time than a queue takes, and returns the CPU that
// each came out on. Each frame has its index as its last 4 bytes.
func spread(t *testing.T, v *harness.Veth, c *capture, frames [][]byte) map[uint32]int {
	t.Helper()
	cpus := map[uint32]int{}
	for len(frames) > 0 {
		n := min(len(frames), queueSize/2)
		v.Send(t, frames[:n]...)
		c.receive(t, n, cpus)
		frames = frames[n:]
	}
	return cpus
}

// flows are 1,000 flows of several kinds, each with a frame in both directions:
// 2i and 2i+1. Some differ only in what a bad hash would not see.
func flows() [][]byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	ip4 := func(a, b, c, d int) netip.Addr {
		return netip.AddrFrom4([4]byte{byte(a), byte(b), byte(c), byte(d)})
	}
	ip6 := func(n int) netip.Addr {
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(n), 14: byte(n >> 8)})
	}
	var frames [][]byte
	for i := range 1000 {
		f := harness.Flow{SrcPort: 1234, DstPort: 80}
		build := harness.UDP4
		switch i % 5 {
		case 0: // both addresses change alike
			f.Src, f.Dst = ip4(10, 0, i>>8, i), ip4(10, 1, i>>8, i)
		case 1: // one port
			f.SrcPort, build = uint16(20000+i), harness.TCP4
		case 2: // one address, IPv6
			f.Src, f.Dst, build = ip6(i), ip6(5000), harness.UDP6
		case 3: // everything, IPv6
			f.Src, f.Dst, build = ip6(rnd.IntN(4000)), ip6(rnd.IntN(4000)), harness.TCP6
			f.SrcPort, f.DstPort = uint16(rnd.Uint32()), uint16(rnd.Uint32())
		case 4: // behind two VLAN tags
			f.Src, f.VLAN = ip4(192, 168, i>>8, i), []uint16{10, 20}
		}
		back := f
		back.Src, back.Dst, back.SrcPort, back.DstPort = f.Dst, f.Src, f.DstPort, f.SrcPort
		if !f.Src.IsValid() || !f.Dst.IsValid() { // Flow has its defaults
			back.Src, back.Dst = netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.1")
			if f.Src.IsValid() {
				back.Dst = f.Src
			}
		}
		for direction, f := range []harness.Flow{f, back} {
			f.Payload = binary.BigEndian.AppendUint32(nil, uint32(2*i+direction))
			frames = append(frames, build(f))
		}
	}
	return frames
}

// fragments makes two fragments of each frame, the second without its ports.
func fragments() [][]byte {
	var frames [][]byte
	for i := range 100 {
		for part := range 2 {
			f := harness.Flow{SrcPort: uint16(i + 1), DstPort: 80, Payload: binary.BigEndian.AppendUint32(nil, uint32(2*i+part))}
			var b []byte
			if i%2 == 0 {
				f.Src = netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
				b = harness.UDP4(f)
				binary.BigEndian.PutUint16(b[20:], []uint16{0x2000, 100}[part])
				if part == 1 {
					copy(b[34:38], "data")
				}
			} else {
				f.Src = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)})
				b = harness.UDP6(f)
				b[20] = 44 // the fragment header
				header := []byte{17, 0, 0, []byte{1, 8}[part], 0, 0, 0, byte(i)}
				b = append(append(bytes.Clone(b[:54]), header...), b[54:]...)
				if part == 1 {
					copy(b[62:66], "data")
				}
			}
			frames = append(frames, b)
		}
	}
	return frames
}

var cpuRE = regexp.MustCompile(`cpu ([0-9]+): ([0-9]+) packets \([0-9]+%\), ([0-9]+) dropped`)

// lastReport reads what cpumap_rss printed last: packets and dropped of each CPU.
func lastReport(t *testing.T, text string) (packets, dropped map[int]int) {
	t.Helper()
	packets, dropped = map[int]int{}, map[int]int{}
	for _, m := range cpuRE.FindAllStringSubmatch(text, -1) {
		cpu, _ := strconv.Atoi(m[1])
		packets[cpu], _ = strconv.Atoi(m[2])
		dropped[cpu], _ = strconv.Atoi(m[3])
	}
	return packets, dropped
}

func TestCPUMapRSS(t *testing.T) {
	cpus := min(runtime.NumCPU(), 4)
	if cpus < 2 {
		t.Fatal("needs at least two CPUs")
	}
	for _, mode := range []string{"native", "skb"} {
		t.Run(mode, func(t *testing.T) {
			harness.NoLeak(t)
			v := harness.NewVeth(t)
			// As the last of a chain.
			harness.MustRun(t, harness.Xdpmux(), "load", "-m", mode, v.Name, pass)
			defer harness.MustRun(t, harness.Xdpmux(), "unload", "-a", v.Name)
			p := startExample(t, rssExample, "--cpus", fmt.Sprintf("0-%d", cpus-1), "--queue-size", fmt.Sprint(queueSize), "--mode", mode, v.Name, rssObject)
			if got := harness.Programs(t, v); got != "xdp_pass xdp_cpumap_rss" {
				t.Errorf("programs: %s", got)
			}
			c := newCapture(t, v, cpus)
			all := flows()
			on := spread(t, v, c, all)
			share := make([]int, cpus)
			for i := uint32(0); i < uint32(len(all)); i += 2 {
				if on[i] != on[i+1] {
					t.Errorf("flow %d: CPU %d, and %d the other way", i/2, on[i], on[i+1])
				}
				share[on[i]]++
			}
			for cpu, n := range share {
				if n > 2*1000/cpus || n == 0 {
					t.Errorf("CPU %d has %d of 1000 flows", cpu, n)
				}
			}
			t.Logf("flows of each CPU: %v", share)

			fragmented := fragments()
			onFragments := spread(t, v, c, fragmented)
			for i := uint32(0); i < uint32(len(fragmented)); i += 2 {
				if onFragments[i] != onFragments[i+1] {
					t.Errorf("fragments of flow %d are on CPUs %d and %d", i/2, onFragments[i], onFragments[i+1])
				}
			}
			want := map[int]int{}
			for _, seen := range []map[uint32]int{on, onFragments} {
				for _, cpu := range seen {
					want[cpu]++
				}
			}
			p.Stop(t, syscall.SIGINT)
			packets, dropped := lastReport(t, p.Stdout.String())
			for cpu := range cpus {
				if packets[cpu] != want[cpu] || dropped[cpu] != 0 {
					t.Errorf("CPU %d: %d packets, %d dropped, want %d and none", cpu, packets[cpu], dropped[cpu], want[cpu])
				}
			}
			if got := harness.Programs(t, v); got != "xdp_pass" {
				t.Errorf("programs after the end: %s", got)
			}
		})
	}
}

// A queue overflows, because the sender keeps the CPU for itself that is to empty it.
func TestCPUMapRSSDrops(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	p := startExample(t, rssExample, "--cpus", "0", "--queue-size", "8", v.Name, rssObject)
	const sent = 200
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its priority
		done <- flood(v.PeerIndex, sent)
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	p.Stop(t, syscall.SIGTERM)
	packets, dropped := lastReport(t, p.Stdout.String())
	if dropped[0] < sent/2 || packets[0]+dropped[0] != sent {
		t.Errorf("%d packets and %d dropped, want %d together, most of them dropped", packets[0], dropped[0], sent)
	}
}

// flood sends frames from CPU 0 with a real-time priority.
func flood(index, n int) error {
	var zero unix.CPUSet
	zero.Set(0)
	if err := unix.SchedSetaffinity(0, &zero); err != nil {
		return err
	}
	if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 50}, 0); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: index}); err != nil {
		return err
	}
	frame := harness.UDP4(harness.Flow{})
	for range n {
		if _, err := unix.Write(fd, frame); err != nil {
			return err
		}
	}
	return nil
}
