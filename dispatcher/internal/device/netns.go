package device

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// namedNetns is where ip-netns(8) keeps namespaces.
const namedNetns = "/run/netns"

// Enter stands for EnterNetns of package dispatcher.
func Enter(name string) (moved bool, err error) {
	if name == "" {
		return false, &xdp.Error{Kind: xdp.ErrInvalid, Msg: "the name of the network namespace is empty", Remedy: "ip netns lists the named ones; or give a path such as /proc/PID/ns/net"}
	}
	path := name
	if !strings.Contains(name, "/") {
		path = filepath.Join(namedNetns, name)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("no network namespace %q (%s: %v)", name, path, err),
			Remedy: "ip netns lists the named ones; or give a path such as /proc/PID/ns/net", Err: err}
	}
	defer unix.Close(fd)
	var target, own unix.Stat_t
	if err := unix.Fstat(fd, &target); err != nil {
		return false, fmt.Errorf("stat %s: %w", path, err)
	}
	if err := unix.Stat("/proc/thread-self/ns/net", &own); err != nil {
		return false, fmt.Errorf("own network namespace: %w", err)
	}
	if target.Dev == own.Dev && target.Ino == own.Ino {
		return false, nil
	}
	err = unix.Setns(fd, unix.CLONE_NEWNET)
	if errors.Is(err, unix.EINVAL) {
		return false, &xdp.Error{Kind: xdp.ErrInvalid, Msg: path + " is not a network namespace", Remedy: "ip netns lists the named ones", Err: err}
	}
	return err == nil, privilege.Explain(err)
}

// Netns identifies the network namespace of the calling thread. number is the one that lsns(8)
// shows, which another namespace can have later. cookie is of this one alone until the next
// boot (SO_NETNS_COOKIE of socket(7)); Linux before 5.14 has none, and it is 0.
func Netns() (number, cookie uint64, err error) {
	var own unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &own); err != nil {
		return 0, 0, fmt.Errorf("own network namespace: %w", err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, fmt.Errorf("own network namespace: %w", err)
	}
	defer unix.Close(fd)
	cookie, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		cookie = 0
	}
	return own.Ino, cookie, nil
}
