package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// State is what a test could leave behind, as text for each thing: "program 12
// xdp_pass", "pin /sys/fs/bpf/xdp/...", "fd anon_inode:bpf-map". Things that have
// no name of their own, as descriptors, can be there several times.
type State struct {
	things map[string]int
}

// Snapshot takes the state of the kernel and of this process once that is at rest. The kernel
// frees what was let go a little later; Snapshot waits for that.
func Snapshot(t testing.TB) State {
	t.Helper()
	s, err := TakeState()
	for again := s; err == nil; s = again {
		waitForFree()
		if again, err = TakeState(); s.Diff(again) == nil {
			return again
		}
	}
	t.Fatalf("snapshot: %v", err)
	return s
}

// waitForFree waits for two RCU grace periods (MEMBARRIER_CMD_GLOBAL): one for a
// program, and one for what the program held.
func waitForFree() {
	for range 2 {
		unix.Syscall(unix.SYS_MEMBARRIER, 1, 0, 0)
	}
}

// TakeState is Snapshot for use outside of a test. It lists all BPF programs, maps
// and links (needs CAP_SYS_ADMIN), the pins in the bpffs and in LIBXDP_BPFFS, the
// descriptors of this process, and the interfaces and named network namespaces
// that the calling thread sees.
func TakeState() (State, error) {
	startPoller()
	s := State{things: map[string]int{}}
	for _, list := range []func() ([]string, error){bpfObjects, pins, descriptors, interfaces, namedNetns} {
		things, err := list()
		if err != nil {
			return State{}, err
		}
		for _, thing := range things {
			s.things[thing]++
		}
	}
	return s, nil
}

// Diff says what after has and s has not ("new: ..."), and what s has and after has not
// ("gone: ..."), sorted. It is nil if they are the same.
func (s State) Diff(after State) []string {
	var diff []string
	for thing, n := range after.things {
		for range n - s.things[thing] {
			diff = append(diff, "new: "+thing)
		}
	}
	for thing, n := range s.things {
		for range n - after.things[thing] {
			diff = append(diff, "gone: "+thing)
		}
	}
	slices.Sort(diff)
	return diff
}

// List is everything in the state, sorted.
func (s State) List() []string {
	return State{}.Diff(s)
}

// settle waits until the state is s again, for as long as limit, and returns what
// differs then.
func (s State) settle(limit time.Duration) ([]string, error) {
	for deadline := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		now, err := TakeState()
		if err != nil {
			return nil, err
		}
		// The kernel has no event for "freed", so this asks again and again.
		diff := slices.DeleteFunc(s.Diff(now), func(thing string) bool { return keptByKernel[thing] })
		if len(diff) == 0 || time.Now().After(deadline) {
			return diff, nil
		}
	}
}

// keptByKernel are differences of states, as of Diff, that are no leaks.
var keptByKernel = map[string]bool{}

// KeptByKernel says of differences of states, as of Diff, that the kernel keeps these things for
// good: a fault of its own, which a native tool was seen to meet in the same way.
func KeptByKernel(diff []string) {
	for _, thing := range diff {
		keptByKernel[thing] = true
	}
}

// NoLeak fails the test if, after everything else the test has to clean up, the
// state differs from that of now. Call it first.
func NoLeak(t testing.TB) {
	t.Helper()
	before, err := TakeState() // at rest: the test before has waited for that
	if err != nil {
		t.Fatalf("snapshot: %v", err)
	}
	t.Cleanup(func() {
		before.Check(t)
	})
}

// Check fails the test, and lets it go on, if the state does not become s again
// soon: the kernel frees programs and maps a little after they were let go.
func (s State) Check(t testing.TB) {
	t.Helper()
	diff, err := s.settle(settleTime)
	if err != nil {
		t.Errorf("state: %v", err)
	}
	if len(diff) > 0 {
		t.Errorf("leak:\n\t%s", strings.Join(withMapNames(diff), "\n\t"))
	}
}

var startPoller = sync.OnceFunc(func() {
	// Go opens descriptors for its poller with the first pipe. That has to be before the
	// first snapshot.
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
})

var numberedRE = regexp.MustCompile(`^(socket|pipe|net|mnt):\[[0-9]+\]$`)

// descriptors lists what this process has open, without the numbers that differ
// between two sockets or pipes: one closed and another opened is no leak.
func descriptors() ([]string, error) {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // the one that ReadDir used
		} else if err != nil {
			return nil, err
		}
		if m := numberedRE.FindStringSubmatch(target); m != nil {
			target = m[1]
		}
		list = append(list, "fd "+target)
	}
	return list, nil
}

// bpffsDirs are the file systems that pins are looked for in.
func bpffsDirs() []string {
	dirs := []string{"/sys/fs/bpf"}
	if dir := os.Getenv("LIBXDP_BPFFS"); dir != "" && filepath.Clean(dir) != dirs[0] {
		dirs = append(dirs, dir)
	}
	return dirs
}

// pins lists the files in the bpffs. Directories don't count, as libxdp keeps the
// one it locks. A file system that isn't mounted has no pins.
func pins() ([]string, error) {
	var list []string
	for _, dir := range bpffsDirs() {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err != nil || st.Type != unix.BPF_FS_MAGIC {
			continue
		}
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // gone meanwhile
			} else if err != nil {
				return err
			}
			// Of the directories only those of a chain and of program arrays
			// belong to something that was loaded.
			if !d.IsDir() || strings.HasPrefix(d.Name(), "dispatch-") || strings.HasPrefix(d.Name(), "chain-") || strings.HasPrefix(d.Name(), "tailcalls-") {
				list = append(list, "pin "+path)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

func interfaces() ([]string, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var list []string
	for _, link := range links {
		list = append(list, fmt.Sprintf("interface %d %s", link.Index, link.Name))
	}
	return list, nil
}

func namedNetns() ([]string, error) {
	entries, err := os.ReadDir("/run/netns")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var list []string
	for _, e := range entries {
		list = append(list, "network namespace "+e.Name())
	}
	return list, nil
}
