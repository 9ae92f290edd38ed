package harness

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Netns is a network namespace without a name. Inside, the mounts are those of the caller. So the
// bpffs is there, which in `ip netns exec` it isn't.
type Netns struct {
	fd int
}

// NewNetns makes a network namespace with its loopback up. It lives until the end
// of the test.
func NewNetns(t testing.TB) *Netns {
	t.Helper()
	n := &Netns{fd: -1}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		fd, err := currentNetns()
		if err != nil {
			return err
		}
		n.fd = fd
		return setUp("lo")
	})
	t.Cleanup(func() { n.Release(t) })
	if err != nil {
		t.Fatalf("new network namespace: %v", err)
	}
	return n
}

// Release lets go of the namespace, which lives on as long as something else holds it.
func (n *Netns) Release(t testing.TB) {
	t.Helper()
	if n.fd < 0 {
		return
	}
	if err := unix.Close(n.fd); err != nil {
		t.Error(err)
	}
	n.fd = -1
}

// Path names the namespace for other programs, as in nsenter --net=PATH.
func (n *Netns) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.fd) }

// Do calls f in the namespace and waits for it. Programs that f starts run there
// too; goroutines that f starts don't. f may fail the test as usual.
func (n *Netns) Do(t testing.TB, f func()) {
	t.Helper()
	returned := false
	err := onThread(func() error {
		if err := unix.Setns(n.fd, unix.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("setns", err)
		}
		f()
		returned = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !returned { // f called FailNow or SkipNow, which end only its own goroutine
		runtime.Goexit()
	}
}

// InNetns calls f in a new network namespace; see NewNetns and Netns.Do.
func InNetns(t testing.TB, f func()) {
	t.Helper()
	NewNetns(t).Do(t, f)
}

// onThread calls f on a thread of its own and waits for it. The goroutine never unlocks that
// thread, so it ends with the goroutine. Otherwise another goroutine would meet what f has
// changed about the thread.
func onThread(f func() error) error {
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done) // also when f ends the goroutine
		runtime.LockOSThread()
		err = f()
	}()
	<-done
	return err
}

// currentNetns opens the namespace of the calling thread.
func currentNetns() (fd int, err error) {
	fd, err = unix.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return fd, os.NewSyscallError("open network namespace", err)
}

// setUp sets an interface of the calling thread's namespace up.
func setUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	return nil
}
