package dispatcher

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// namedNetns is where ip-netns(8) keeps namespaces.
const namedNetns = "/run/netns"

// enterNetns moves the calling thread into a network namespace, named as by ip
// netns or by the path of its file. Mounts stay those of the caller: the bpffs is
// the same inside. The goroutine has to be locked to its thread. It says whether
// the thread was elsewhere before. Errors: [ErrInvalid], [ErrPermission].
func enterNetns(name string) (moved bool, err error) {
	path := name
	if !strings.Contains(name, "/") {
		path = filepath.Join(namedNetns, name)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, &Error{Kind: ErrInvalid, Msg: fmt.Sprintf("no network namespace %q (%s: %v)", name, path, err),
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
		return false, &Error{Kind: ErrInvalid, Msg: path + " is not a network namespace", Remedy: "ip netns lists the named ones", Err: err}
	}
	return err == nil, explainPermission(err)
}

// netns is a network namespace and how to speak of it.
type netns struct {
	path string // of a file that stands for it
	name string // such as "network namespace blue"
}

// reachableNetns lists the network namespaces that are mounted somewhere, as the
// named ones are, and those of processes, each once. The first is the caller's.
func reachableNetns() []netns {
	all := []netns{{"/proc/thread-self/ns/net", "this network namespace"}}
	mounts, _ := os.ReadFile("/proc/thread-self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		// The root of such a mount is the namespace: net:[4026532008].
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[3], "net:[") {
			path := unescapeMount.Replace(fields[4])
			all = append(all, netns{path, "network namespace " + strings.TrimPrefix(path, namedNetns+"/")})
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	for _, path := range processes {
		pid := strings.Split(path, "/")[2]
		all = append(all, netns{path, "the network namespace of process " + pid})
	}
	type inode struct{ dev, ino uint64 }
	seen := map[inode]bool{}
	unique := all[:0]
	for _, ns := range all {
		var st unix.Stat_t
		if unix.Stat(ns.path, &st) != nil || seen[inode{st.Dev, st.Ino}] {
			continue // gone meanwhile, or had
		}
		seen[inode{st.Dev, st.Ino}] = true
		unique = append(unique, ns)
	}
	return unique
}

// links are the interfaces of the namespace.
func (n netns) links() (all []link, err error) {
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		// Never unlocked: the thread ends with the goroutine, and no other meets
		// one that is elsewhere.
		runtime.LockOSThread()
		if _, err = enterNetns(n.path); err == nil {
			all, err = links()
		}
	}()
	wg.Wait()
	return all, err
}
