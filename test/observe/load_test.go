package observe

import (
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// sender sends the frames of a mix in turn until it is stopped, as fast as it is let.
type sender struct {
	v      *harness.Veth
	frames [][]byte
	sent   tally // all; frame i was sent sent/len(frames) times, or once more
	stop   chan struct{}
	done   sync.WaitGroup
	err    error
}

// send begins to send on v's peer, a burst of the whole mix each pause.
func send(t testing.TB, v *harness.Veth, pause time.Duration, frames ...[]byte) *sender {
	t.Helper()
	s := &sender{v: v, frames: frames, stop: make(chan struct{})}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: v.PeerIndex}); err != nil {
		t.Fatal(err)
	}
	s.done.Add(1)
	go func() {
		defer s.done.Done()
		defer unix.Close(fd)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		ticker := time.NewTicker(pause)
		defer ticker.Stop()
		for {
			select {
			case <-s.stop:
				return
			case <-ticker.C:
			}
			for _, frame := range s.frames {
				for {
					_, err := unix.Write(fd, frame)
					if errors.Is(err, unix.EINTR) {
						continue
					}
					if err != nil {
						s.err = err
						return
					}
					break
				}
				s.sent.add()
			}
		}
	}()
	t.Cleanup(func() { s.end() })
	return s
}

func (s *sender) end() {
	select {
	case <-s.stop:
	default:
		close(s.stop)
	}
	s.done.Wait()
}

// finish stops sending, and returns how often each frame was sent once all of them have
// been through the program. The pair itself must not have refused any.
func (s *sender) finish(t testing.TB) (times uint64) {
	t.Helper()
	s.end()
	if s.err != nil {
		t.Fatalf("send to %s: %v", s.v.Name, s.err)
	}
	sent := s.sent.count()
	received := uint64(0)
	if !harness.Eventually(func() bool {
		link, err := netlink.LinkByIndex(s.v.Index)
		if err != nil {
			t.Fatal(err)
		}
		received = link.Attrs().Statistics.RxPackets
		return received >= sent
	}) {
		t.Fatalf("%s: %d packets sent, %d received", s.v.Name, sent, received)
	}
	return sent / uint64(len(s.frames))
}

// mixFrame is a frame whose first bytes are the verdicts of step0, step1 and so on.
func mixFrame(verdicts ...xdp.Verdict) []byte {
	frame := harness.UDP4(harness.Flow{PayloadLen: 30})
	for i := range 10 {
		frame[i] = byte(xdp.Pass)
	}
	for i, v := range verdicts {
		frame[i] = byte(v)
	}
	return frame
}

// rowOf is the row of a program on an interface.
func rowOf(t testing.TB, c observe.Chain, id uint32) observe.Program {
	t.Helper()
	for _, p := range c.Programs {
		if p.ID == id && p.Role != observe.RoleDispatcher {
			return p
		}
	}
	t.Fatalf("no program %d on %s: %+v", id, c.Interface.Name, c.Programs)
	return observe.Program{}
}
