package harness

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// How Deliver knows that a dropped frame was dropped, and isn't just late
//
// Nothing tells that an XDP program has dropped a frame, and a marker frame sent
// after the others may itself be dropped. But a veth hands a frame over on the
// processor that sent it, so with the sender bound to one processor:
//
//   - In native mode the frame goes into the receiver's ring, which a softirq of that
//     processor polls. The poll adds what it has run the program on to rx_packets,
//     drops included. A process can't interrupt a softirq of its processor. This
//     thread is bound to that processor: so once it reads the full count, the poll
//     that counted has ended, with everything passed up. Batches are smaller than
//     the poll's budget (64), so that one poll does not stop half-way.
//   - In skb mode, and without a program, rx_packets counts at once, and the frame
//     goes into the processor's backlog, a FIFO that all interfaces share. A marker
//     sent over lo takes the same FIFO: when it arrives, all frames before it have
//     been through their program and the capture sockets.
//
// So: send, wait for the count, send the marker over lo, wait for it. A frame that
// the program sent back with XDP_TX is queued once more, behind the marker: a second
// marker covers that.

const (
	batchSize   = 32 // below NAPI_POLL_WEIGHT
	waitLimit   = 10 * time.Second
	markerProto = 0x88b5 // IEEE 802.1, local experimental
)

// wire is what frames are sent and captured with.
type wire struct {
	in, out *tap // of Name and of Peer
	lo      *tap
	stats   *netlink.Handle
}

// markers numbers them, different from those of other processes that use lo.
var markers atomic.Uint32

// Deliver sends the frames on the peer and returns those that came out of the
// interface's XDP program towards the stack, in order and as the program left them.
// When it returns, the program has run on all frames.
func (v *Veth) Deliver(t testing.TB, frames ...[]byte) (passed [][]byte) {
	t.Helper()
	passed, _ = v.Exchange(t, frames...)
	return passed
}

// Exchange is Deliver that also returns the frames that the program sent back out
// of the interface with XDP_TX. In native mode that needs AcceptReturned.
func (v *Veth) Exchange(t testing.TB, frames ...[]byte) (passed, returned [][]byte) {
	t.Helper()
	err := v.inNetns(func() error { // a thread of its own: it is bound to one processor
		if v.wire == nil {
			w, err := v.openWire()
			if err != nil {
				return err
			}
			v.wire = w
		}
		if err := bindToOneCPU(); err != nil {
			return err
		}
		for len(frames) > 0 {
			n := min(batchSize, len(frames))
			in, back, err := v.exchange(frames[:n])
			if err != nil {
				return err
			}
			passed, returned, frames = append(passed, in...), append(returned, back...), frames[n:]
		}
		return nil
	})
	if err != nil {
		t.Fatalf("deliver to %s: %v", v.Name, err)
	}
	return passed, returned
}

// Send sends the frames on the peer, and does not wait for what becomes of them.
func (v *Veth) Send(t testing.TB, frames ...[]byte) {
	t.Helper()
	err := v.inNetns(func() error {
		out, err := openTap(v.PeerIndex, 0)
		if err != nil {
			return err
		}
		defer out.close()
		for _, frame := range frames {
			if err := out.send(frame); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("send to %s: %v", v.Name, err)
	}
}

func (v *Veth) openWire() (w *wire, err error) {
	w = &wire{}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return nil, fmt.Errorf("lo, for markers: %w", err)
	}
	if lo.Attrs().Flags&unix.IFF_UP == 0 {
		return nil, errors.New("lo has to be up, for markers")
	}
	if w.lo, err = openTap(lo.Attrs().Index, markerProto); err != nil {
		return nil, err
	}
	if w.in, err = openTap(v.Index, unix.ETH_P_ALL); err != nil {
		return nil, err
	}
	if w.out, err = openTap(v.PeerIndex, unix.ETH_P_ALL); err != nil {
		return nil, err
	}
	w.stats, err = netlink.NewHandle(unix.NETLINK_ROUTE)
	return w, err
}

func (w *wire) close() {
	for _, tap := range []*tap{w.in, w.out, w.lo} {
		if tap != nil {
			tap.close()
		}
	}
	if w.stats != nil {
		w.stats.Close()
	}
}

func (v *Veth) exchange(frames [][]byte) (passed, returned [][]byte, err error) {
	w := v.wire
	// Frames of Send, or of an earlier failure, are not of this exchange.
	if err := errors.Join(w.barrier(), w.in.drain(), w.out.drain()); err != nil {
		return nil, nil, err
	}
	before, err := v.counters()
	if err != nil {
		return nil, nil, err
	}
	for i, frame := range frames {
		if err := w.out.send(frame); err != nil {
			return nil, nil, fmt.Errorf("frame %d of %d bytes: %w", i, len(frame), err)
		}
	}
	for deadline := time.Now().Add(waitLimit); ; time.Sleep(time.Millisecond) {
		now, err := v.counters()
		if err != nil {
			return nil, nil, err
		}
		if refused := now.refused - before.refused; refused > 0 {
			return nil, nil, fmt.Errorf("the pair itself refused %d of %d frames: too long for its MTU, or an end is down", refused, len(frames))
		}
		arrived := now.arrived - before.arrived
		if arrived == uint64(len(frames)) {
			break
		}
		if arrived > uint64(len(frames)) {
			return nil, nil, fmt.Errorf("%d frames sent, %d arrived: something else sends on %s", len(frames), arrived, v.Peer)
		}
		if time.Now().After(deadline) {
			return nil, nil, fmt.Errorf("%d frames sent, %d arrived within %v", len(frames), arrived, waitLimit)
		}
	}
	if err := errors.Join(w.barrier(), w.barrier()); err != nil {
		return nil, nil, err
	}
	if passed, err = w.in.receiveAll(); err != nil {
		return nil, nil, err
	}
	returned, err = w.out.receiveAll()
	return passed, returned, err
}

// counters are the statistics that the wait looks at.
type counters struct {
	arrived uint64 // frames taken in by the interface
	refused uint64 // frames that the driver did not take over from the peer
}

func (v *Veth) counters() (counters, error) {
	link, err := v.wire.stats.LinkByIndex(v.Index)
	if err != nil {
		return counters{}, fmt.Errorf("%s: %w", v.Name, err)
	}
	peer, err := v.wire.stats.LinkByIndex(v.PeerIndex)
	if err != nil {
		return counters{}, fmt.Errorf("%s: %w", v.Peer, err)
	}
	return counters{arrived: link.Attrs().Statistics.RxPackets, refused: peer.Attrs().Statistics.TxDropped}, nil
}

// barrier returns when the kernel has dealt with everything that the calling thread's processor
// had in its backlog.
func (w *wire) barrier() error {
	marker := uint64(os.Getpid())<<32 | uint64(markers.Add(1))
	frame := make([]byte, 60)
	binary.BigEndian.PutUint16(frame[12:], markerProto)
	binary.BigEndian.PutUint64(frame[14:], marker)
	if err := w.lo.send(frame); err != nil {
		return fmt.Errorf("marker: %w", err)
	}
	for deadline := time.Now().Add(waitLimit); ; {
		if time.Now().After(deadline) {
			return fmt.Errorf("marker over lo did not arrive within %v: is there an XDP program on lo?", waitLimit)
		}
		if err := w.lo.wait(deadline); err != nil {
			return err
		}
		frames, err := w.lo.receiveAll()
		if err != nil {
			return err
		}
		for _, f := range frames {
			if len(f) >= 22 && binary.BigEndian.Uint64(f[14:]) == marker {
				return nil
			}
		}
	}
}

// bindToOneCPU binds the calling thread to its processor. No other goroutine may use that
// thread later.
func bindToOneCPU() error {
	var allowed, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return os.NewSyscallError("sched_getaffinity", err)
	}
	for cpu := range len(allowed) * 64 {
		if allowed.IsSet(cpu) {
			one.Set(cpu)
			return os.NewSyscallError("sched_setaffinity", unix.SchedSetaffinity(0, &one))
		}
	}
	return errors.New("no processor to run on")
}

// tap is a packet socket on one interface: packet(7).
type tap struct {
	fd int
}

// openTap opens one that captures the frames of a protocol (0: none) that come in.
func openTap(index, proto int) (*tap, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	tap := &tap{fd}
	for _, option := range []int{unix.PACKET_IGNORE_OUTGOING, unix.PACKET_AUXDATA} {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, option, 1); err != nil {
			tap.close()
			return nil, os.NewSyscallError("setsockopt", err)
		}
	}
	// Bound last: from here on frames are kept, and only this interface's.
	bigEndian := uint16(proto)<<8 | uint16(proto)>>8
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian, Ifindex: index}); err != nil {
		tap.close()
		return nil, os.NewSyscallError("bind", err)
	}
	return tap, nil
}

func (t *tap) close() { _ = unix.Close(t.fd) }

func (t *tap) send(frame []byte) error {
	for {
		_, err := unix.Write(t.fd, frame)
		if !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("send", err)
		}
	}
}

func (t *tap) drain() error {
	_, err := t.receiveAll()
	return err
}

// receiveAll returns what has been captured so far.
func (t *tap) receiveAll() ([][]byte, error) {
	var frames [][]byte
	buf := make([]byte, 64<<10)
	oob := make([]byte, 256)
	for {
		n, oobn, _, _, err := unix.Recvmsg(t.fd, buf, oob, 0)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return frames, nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENETDOWN): // told once when the interface went down
			continue
		case err != nil:
			return nil, os.NewSyscallError("recvmsg", err)
		}
		frame, err := withVLAN(buf[:n], oob[:oobn])
		if err != nil {
			return nil, err
		}
		frames = append(frames, frame)
	}
}

// wait waits until there is something to receive, or for the deadline.
func (t *tap) wait(deadline time.Time) error {
	left := max(0, time.Until(deadline).Milliseconds()+1)
	_, err := unix.Poll([]unix.PollFd{{Fd: int32(t.fd), Events: unix.POLLIN}}, int(left))
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	return os.NewSyscallError("poll", err)
}

// until returns what is captured before the frame last.
func (t *tap) until(last []byte) (frames [][]byte, err error) {
	for deadline := time.Now().Add(waitLimit); time.Now().Before(deadline); {
		if err := t.wait(deadline); err != nil {
			return nil, err
		}
		more, err := t.receiveAll()
		if err != nil {
			return nil, err
		}
		frames = append(frames, more...)
		if i := slices.IndexFunc(frames, func(f []byte) bool { return bytes.Equal(f, last) }); i >= 0 {
			return frames[:i], nil
		}
	}
	return nil, fmt.Errorf("the last frame did not arrive within %v; %d others did", waitLimit, len(frames))
}

// withVLAN copies a captured frame and puts the VLAN tag back into it that the
// kernel has taken out before it shows a frame to a socket.
func withVLAN(frame, oob []byte) ([]byte, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, os.NewSyscallError("recvmsg", err)
	}
	for _, m := range messages {
		var aux unix.TpacketAuxdata
		if m.Header.Level != unix.SOL_PACKET || m.Header.Type != unix.PACKET_AUXDATA || len(m.Data) < int(unsafe.Sizeof(aux)) {
			continue
		}
		aux = *(*unix.TpacketAuxdata)(unsafe.Pointer(&m.Data[0]))
		if aux.Status&unix.TP_STATUS_VLAN_VALID == 0 {
			continue
		}
		tag := binary.BigEndian.AppendUint16(nil, aux.Vlan_tpid)
		tag = binary.BigEndian.AppendUint16(tag, aux.Vlan_tci)
		return append(append(append([]byte(nil), frame[:12]...), tag...), frame[12:]...), nil
	}
	return append([]byte(nil), frame...), nil
}
