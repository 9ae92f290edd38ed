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
