package libxdp_test

import (
	"bytes"
	"errors"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/cgo/libxdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

const frames = 64 // of a umem here

var umemConfig = libxdp.UmemConfig{FillSize: frames, CompSize: frames, FrameSize: libxdp.DefaultFrameSize}

func newArea(t *testing.T) []byte {
	t.Helper()
	area, err := unix.Mmap(-1, 0, frames*libxdp.DefaultFrameSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(area) })
	return area
}

// fill hands frames to the kernel, the i-th of the umem at each index.
func fill(t *testing.T, ring *libxdp.ProdRing, n uint32) {
	t.Helper()
	idx, ok := ring.Reserve(n)
	if !ok {
		t.Fatalf("no room for %d frames", n)
	}
	for i := range n {
		*ring.FillAddr(idx + i) = uint64(i%frames) * libxdp.DefaultFrameSize
	}
	ring.Submit(n)
}

// TestSocket receives frames on a socket and sends them back, more often than the rings
// have entries, so that the indices come round.
func TestSocket(t *testing.T) {
	if !inChild(t) {
		return
	}
	v := harness.NewVeth(t)
	area := newArea(t)
	umem, err := libxdp.CreateUmem(area, &umemConfig)
	if err != nil {
		t.Fatal(err)
	}
	config := libxdp.SocketConfig{RXSize: frames, TXSize: frames, XDPFlags: unix.XDP_FLAGS_SKB_MODE, BindFlags: libxdp.BindCopy | libxdp.BindUseNeedWakeup}
	s, err := libxdp.CreateSocket(v.Name, 0, umem, &config)
	if err != nil {
		t.Fatal(err)
	}
	if err := umem.Close(); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("a umem in use closes: %v", err)
	}
	if s.FD() < 0 || s.FD() != umem.FD() || s.Fill != nil || s.Completion != nil {
		t.Errorf("the first socket: %d, umem %d, rings %v %v", s.FD(), umem.FD(), s.Fill, s.Completion)
	}
	if _, ok := umem.Fill.Reserve(frames + 1); ok {
		t.Error("more entries than the ring has were reserved")
	}
	const batch, rounds = 16, 10
	for round := range rounds {
		fill(t, umem.Fill, batch)
		var sent [][]byte
		for i := range batch {
			sent = append(sent, harness.UDP4(harness.Flow{PayloadLen: 10 + round*batch + i}))
		}
		if passed := v.Deliver(t, sent...); len(passed) != 0 {
			t.Errorf("%d frames went on to the stack", len(passed))
		}
		if n := s.RX.Available(frames); n != batch {
			t.Fatalf("round %d: %d frames have come, want %d", round, n, batch)
		}
		got, rx := s.RX.Peek(frames)
		s.RX.Cancel(1) // the last is peeked again
		again, last := s.RX.Peek(frames)
		if got != batch || again != 1 || last != rx+batch-1 {
			t.Fatalf("peeked %d at %d, then %d at %d", got, rx, again, last)
		}
		tx, ok := s.TX.Reserve(got)
		if !ok {
			t.Fatal("no room to send")
		}
		for i := range got {
			desc := s.RX.RxDesc(rx + i)
			if data := libxdp.GetData(area, desc); !bytes.Equal(data, sent[i]) {
				t.Errorf("frame %d of round %d: % x\nwant % x", i, round, data, sent[i])
			}
			*s.TX.TxDesc(tx + i) = desc
		}
		s.RX.Release(got)
		s.TX.Submit(got)
		if !s.TX.NeedsWakeup() {
			t.Error("the kernel sends by itself")
		}
		if err := unix.Sendto(s.FD(), nil, unix.MSG_DONTWAIT, nil); err != nil {
			t.Fatal(err)
		}
		// The kernel completes a frame when the other side has let go of it.
		var done uint32
		if !harness.Eventually(func() bool {
			n, comp := umem.Completion.Peek(frames)
			for i := range n {
				if addr := umem.Completion.CompAddr(comp + i); libxdp.ExtractAddr(addr) >= uint64(len(area)) {
					t.Errorf("address %#x isn't in the umem", addr)
				}
			}
			umem.Completion.Release(n)
			done += n
			return done >= batch
		}) || done != batch {
			t.Fatalf("round %d: %d frames were sent, want %d", round, done, batch)
		}
	}
	if err := errors.Join(s.Close(), s.Close(), umem.Close(), umem.Close()); err != nil {
		t.Error(err)
	}
	if chain := harness.Programs(t, v); chain != "" {
		t.Errorf("%s is left in the chain", chain)
	}
}

// TestSharedUmem has two sockets on the two ends of a wire, on one umem, each in the
// other's program's map; the second has rings of its own and only receives.
func TestSharedUmem(t *testing.T) {
	if !inChild(t) {
		return
	}
	v := harness.NewVeth(t)
	area := newArea(t)
	umem, err := libxdp.CreateUmem(area, &umemConfig)
	if err != nil {
		t.Fatal(err)
	}
	config := libxdp.SocketConfig{
		Directions: libxdp.TXOnly, RXSize: frames, TXSize: frames,
		LibxdpFlags: libxdp.InhibitProgLoad, XDPFlags: unix.XDP_FLAGS_SKB_MODE, BindFlags: libxdp.BindCopy,
	}
	sender, err := libxdp.CreateSocket(v.Peer, 0, umem, &config)
	if err != nil {
		t.Fatal(err)
	}
	config.Directions, config.BindFlags = libxdp.RXOnly, 0
	receiver, err := libxdp.CreateSharedSocket(v.Name, 0, umem, &config)
	if err != nil {
		t.Fatal(err)
	}
	if sender.RX != nil || receiver.TX != nil || receiver.Fill == nil || receiver.Completion == nil {
		t.Errorf("rings: %+v %+v", sender, receiver)
	}
	xsks, err := libxdp.SetupXDPProg(v.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := receiver.UpdateXSKMap(xsks.Int()); err != nil {
		t.Fatal(err)
	}
	if got := harness.Programs(t, v); got != "xsk_def_prog" {
		t.Errorf("in the chain: %s", got)
	}
	fill(t, receiver.Fill, 4)

	frame := harness.UDP4(harness.Flow{PayloadLen: 100})
	const at = (frames - 1) * libxdp.DefaultFrameSize
	idx, _ := sender.TX.Reserve(1)
	*sender.TX.TxDesc(idx) = libxdp.Desc{Addr: at, Len: uint32(copy(area[at:], frame))}
	sender.TX.Submit(1)
	if err := unix.Sendto(sender.FD(), nil, unix.MSG_DONTWAIT, nil); err != nil {
		t.Fatal(err)
	}
	poll := []unix.PollFd{{Fd: int32(receiver.FD()), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, 10_000); n != 1 {
		t.Fatalf("nothing has come: %v", err)
	}
	got, rx := receiver.RX.Peek(frames)
	if got != 1 || !bytes.Equal(libxdp.GetData(area, receiver.RX.RxDesc(rx)), frame) {
		t.Errorf("%d frames", got)
	}
	mp, err := libxdp.GetMultiprog(v.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(receiver.Close(), sender.Close(), umem.Close(), xsks.Close(), mp.Detach(), mp.Close(), libxdp.CleanReferences(0)); err != nil {
		t.Error(err)
	}
}

// TestNewer calls what libxdp 1.3 hasn't: it works, or names the version that has it.
func TestNewer(t *testing.T) {
	if !inChild(t) {
		return
	}
	v := harness.NewVeth(t)
	p := openPass(t)
	if err := p.Attach(v.Index, libxdp.ModeSKB, 0); err != nil {
		t.Fatal(err)
	}
	mp, err := libxdp.GetMultiprog(v.Index)
	if err != nil {
		t.Fatal(err)
	}
	defer mp.Close()
	area := newArea(t)
	withMetadata := umemConfig
	withMetadata.TxMetadataLen = 8
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW, 0)
	if err != nil {
		t.Fatal(err)
	}
	socket := libbpf.NewFD(fd)
	defer socket.Close()
	umem, err := libxdp.CreateUmem(area, &umemConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer umem.Close()

	works := map[string]bool{}
	for _, c := range []struct {
		op, needs string
		call      func() error
	}{
		{"xsk_umem__create_with_fd", "libxdp 1.4", func() error {
			u, err := libxdp.CreateUmemWithFD(socket, area, &umemConfig)
			return errors.Join(err, u.Close())
		}},
		{"xsk_umem__create_opts", "libxdp 1.5", func() error {
			u, err := libxdp.CreateUmem(area, &withMetadata)
			return errors.Join(err, u.Close())
		}},
		{"xsk_socket__create_opts", "libxdp 1.5", func() error {
			config := libxdp.SocketConfig{RXSize: frames, TXSize: frames, LibxdpFlags: libxdp.InhibitProgLoad, BindFlags: libxdp.BindCopy}
			s, err := libxdp.CreateSocketOpts(v.Name, 0, umem, &config, false)
			return errors.Join(err, s.Close())
		}},
		{"xdp_multiprog__xdp_dev_bound", "libxdp 1.6", func() error {
			bound, err := mp.DeviceBound()
			if bound {
				t.Error("an ordinary chain is bound to its device")
			}
			return err
		}},
		{"xdp_program__attach with XDP_ATTACH_DEVBIND", "libxdp 1.6", func() error {
			return openPass(t).Attach(1<<30, libxdp.ModeNative, libxdp.AttachDevBind)
		}},
	} {
		err := c.call()
		var unsupported *libbpf.UnsupportedError
		if !errors.As(err, &unsupported) {
			works[c.needs] = true
			continue // it is this library's own affair what comes of it
		}
		if unsupported.Op != c.op || unsupported.Needs != c.needs || !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", c.op, err)
		}
		if works[c.needs] {
			t.Errorf("%s isn't there, and others of %s are", c.op, c.needs)
		}
	}
	if err := p.Detach(v.Index, libxdp.ModeSKB); err != nil {
		t.Error(err)
	}
}
