package dispatcher

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// libxdpLock is held around every call of libxdp. libxdp caches the bpffs
// directory and its check of the kernel in static variables without a lock of
// its own, and the log hooks that record what a call said are global.
var libxdpLock sync.Mutex

// lockPins takes the lock of libxdp's protocol on the pins of all chains. As libxdp
// does, it waits for as long as another holds it.
func lockPins() (unlock func(), err error) {
	dir := bpffs() + "/xdp"
	fd, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = retryInterrupted(func() error { return unix.Flock(fd, unix.LOCK_EX) })
	}
	if err != nil {
		return nil, &Error{Kind: ErrSystem, Err: err, Msg: fmt.Sprintf("can't lock %s: %v", dir, err)}
	}
	return func() { unix.Close(fd) }, nil
}

func retryInterrupted(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

// prepareBPFFS makes sure that there is a bpffs with libxdp's directory in it.
func prepareBPFFS() error {
	if err := checkBPFFS(); err != nil {
		return err
	}
	if !isBPFFS(bpffs()) {
		if err := mountBPFFS(); err != nil {
			return noDispatcher("no bpffs is mounted at "+bpffs(), err)
		}
	}
	if err := os.Mkdir(bpffs()+"/xdp", 0o700); err != nil && !os.IsExist(err) {
		return explainPermission(err)
	}
	return nil
}

// mountBPFFS mounts one, as libxdp does when it is told so by envAutomount.
func mountBPFFS() error {
	if err := os.Mkdir(bpffs(), 0o700); err != nil && !os.IsExist(err) {
		return err
	}
	return unix.Mount("bpf", bpffs(), "bpf", 0, "mode=0700")
}
