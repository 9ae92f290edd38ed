package agent

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/test/harness"
)

// churn are interfaces, files and foreign tools, among which everything happens at random.
type churn struct {
	*testing.T
	*rand.Rand
	dir   string
	slots []string // the names that interfaces have now; empty: the interface isn't there

	here, there *os.File // the test's network namespace, and another one
	away        map[int]bool
	other       *harness.Netns
}

var samples = []string{"xdp_pass", "xdp_count", "xdp_drop"}

// happens has one thing happen.
func (c *churn) happens() {
	switch c.IntN(9) {
	case 0, 1:
		c.write(declare(c.T, []string{"cc*", "dd*", c.name(c.IntN(len(c.slots)))}[c.IntN(3)], samples[:c.IntN(4)]...))
	case 2:
		c.write([]string{"interfaces: [", "inter", "guard: ''"}[c.IntN(3)])
	case 3:
		os.Remove(c.file())
	default:
		c.befalls(c.IntN(len(c.slots)), c.IntN(5))
	}
}

// befalls has one of five things happen to the interface of a slot, if it is there. What isn't comes.
func (c *churn) befalls(i, what int) {
	name := c.slots[i]
	switch {
	case c.away[i]:
		c.back(i)
	case name == "":
		c.slots[i] = fmt.Sprintf("cc%d", i)
		attrs := netlink.NewLinkAttrs()
		attrs.Name = c.slots[i]
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: fmt.Sprintf("peer%d", i)}); err != nil {
			c.Fatal(err)
		}
		c.with(c.slots[i], netlink.LinkSetUp)
	case what == 0:
		c.with(name, netlink.LinkDel)
		c.slots[i] = ""
	case what == 1:
		c.slots[i] = map[byte]string{'c': "dd", 'd': "cc"}[name[0]] + name[2:]
		c.with(name, netlink.LinkSetDown) // Linux 6.1 renames none that is up
		rename(c.T, name, c.slots[i])
		c.with(c.slots[i], netlink.LinkSetUp)
	case what == 2:
		c.move(name, c.there)
		c.away[i] = true
	case what == 3: // which may be refused: the agent may be at it
		harness.Run(c.T, native, "unload", name, "-a")
	case what == 4:
		harness.Run(c.T, native, "load", name, harness.Sample(samples[c.IntN(3)]))
	}
}

// name is that of a slot, or one that nothing has.
func (c *churn) name(i int) string { return cmp.Or(c.slots[i], "absent") }

// with does something to an interface.
func (c *churn) with(name string, do func(netlink.Link) error) {
	c.Helper()
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = do(link)
	}
	if err != nil {
		c.Fatalf("%s: %v", name, err)
	}
}

// back moves the interface of a slot into the test's network namespace again.
func (c *churn) back(i int) {
	c.other.Do(c.T, func() { c.move(c.slots[i], c.here) })
	c.with(c.slots[i], netlink.LinkSetUp) // of one that is down the kernel tells little
	delete(c.away, i)
}

// move moves an interface, with what runs on it, into another network namespace.
func (c *churn) move(name string, to *os.File) {
	c.Helper()
	c.with(name, func(link netlink.Link) error { return netlink.LinkSetNsFd(link, int(to.Fd())) })
}

// declared fails the test unless all interfaces run what the files declare, or do in a moment.
func (c *churn) declared(when string) {
	c.Helper()
	for i := range c.away {
		c.back(i)
	}
	for _, name := range c.slots {
		if name != "" {
			want := map[byte]string{'c': "xdp_count xdp_pass", 'd': "xdp_count"}[name[0]]
			harness.Eventually(func() bool { return names(c.T, name) == want }) // drift is mended after a back-off
			check(c.T, when, name, want)
		}
	}
}

// open opens a file until the end of the test.
func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func (c *churn) file() string { return filepath.Join(c.dir, fmt.Sprintf("%d.yaml", c.IntN(2))) }

// write writes a file as editors do, or in place.
func (c *churn) write(text string) {
	file := c.file()
	if c.IntN(2) == 0 {
		put(c.T, c.dir, filepath.Base(file), text)
	} else if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		c.Fatal(err)
	}
}

// storm sends a burst of frames to v each millisecond until it is stopped, and says how many have
// passed its programs.
func storm(t *testing.T, v *harness.Veth, burst int) (stop func() (sent, passed int)) {
	t.Helper()
	socket := func(index int) int {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: index, Protocol: 0x0300}) // ETH_P_ALL
		}
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	in, out := socket(v.Index), socket(v.PeerIndex)
	var ending atomic.Bool
	done := make(chan error, 1)
	sent := 0
	go func() {
		frame := make([]byte, 60)
		copy(frame, v.MAC)
		for ; !ending.Load(); time.Sleep(time.Millisecond) { // and the agent needs the processor too
			for range burst {
				if err := unix.Sendto(out, frame, 0, &unix.SockaddrLinklayer{Ifindex: v.PeerIndex}); err == nil {
					sent++
				} else if err != unix.ENOBUFS && err != unix.EAGAIN && err != unix.EINTR {
					done <- err
					return
				}
			}
		}
		done <- nil
	}()
	return func() (int, int) {
		ending.Store(true)
		if err := <-done; err != nil {
			t.Errorf("send: %v", err)
		}
		passed := 0
		for buffer := make([]byte, 100); ; passed++ {
			if _, _, err := unix.Recvfrom(in, buffer, 0); err != nil {
				break
			}
		}
		unix.Close(in)
		unix.Close(out)
		return sent, passed
	}
}

// descriptors are what a process has open.
func descriptors(t *testing.T, pid int) (all []string) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil { // it may be closed by now
			all = append(all, e.Name()+" "+to)
		}
	}
	return all
}

// size is how many descriptors a process has, and how much memory in KiB.
func size(t *testing.T, pid int) (open, memory int) {
	t.Helper()
	return len(descriptors(t, pid)), memoryOf(t, pid, "VmRSS")
}

// memoryOf is a number of proc_pid_status(5), in KiB.
func memoryOf(t *testing.T, pid int, which string) (memory int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), which+":")
	if _, err := fmt.Sscanf(rest, "%d", &memory); err != nil {
		t.Fatal(err)
	}
	return memory
}

// TestChurn: interfaces, files and native tools do at random what they can. Whenever that ends all is
// as declared, and what happens to interfaces then the agent hears of by itself, for it looks around
// each two minutes alone. No packet has passed a program that was declared all the time, and the
// agent has grown by nothing.
func TestChurn(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	cleans(t)
	other := harness.NewNetns(t)
	c := &churn{T: t, Rand: harness.Chance(t), dir: t.TempDir(), slots: make([]string, 4),
		here: open(t, "/proc/self/ns/net"), there: open(t, other.Path()), away: map[int]bool{}, other: other}
	t.Cleanup(func() {
		for i := range c.away {
			c.back(i)
		}
		for _, name := range c.slots {
			if link, err := netlink.LinkByName(name); err == nil {
				_ = netlink.LinkDel(link)
			}
		}
	})
	put(t, c.dir, "guard.yaml", declare(t, v.Name, "xdp_drop"))
	t.Setenv("WATCHDOG_USEC", fmt.Sprint((8 * time.Minute).Microseconds()))
	a := start(t, c.dir, "--prune", "--listen", "127.0.0.1:0")
	a.until(t, "serving", "")
	a.changes(t, "started", v.Name, "xdp_drop")
	ran := runs(t, v.Name)
	stop := storm(t, v, 10)
	reload := func() {
		t.Helper()
		a.Signal(t, syscall.SIGHUP)
		a.until(t, "reloaded", "")
	}
	for i := range c.slots {
		c.befalls(i, 0)
	}
	reload()
	fds, _ := size(t, a.PID())
	var held []int // its own memory, look by look
	for lasting, began := harness.Lasting(t), time.Now(); ; {
		for range harness.Scaled(1000, 25) {
			c.happens()
			time.Sleep(time.Duration(c.IntN(100)) * time.Millisecond) // events come at any moment
		}
		put(t, c.dir, "0.yaml", declare(t, "cc*", "xdp_pass", "xdp_count"))
		put(t, c.dir, "1.yaml", declare(t, "dd*", "xdp_count"))
		reload()
		reload() // the first may have met a native tool's change
		_, memory := size(t, a.PID())
		own := memoryOf(t, a.PID(), "RssAnon") // without what it has read of its own binary
		c.declared("at the end")
		for i := range c.slots {
			c.befalls(i, c.IntN(4))
		}
		c.declared("when the agent was only told")
		if now := runs(t, v.Name); now != ran {
			t.Errorf("the guard: it ran %s and runs %s", ran, now)
		}
		var nowFDs int
		harness.Eventually(func() bool { nowFDs, _ = size(t, a.PID()); return nowFDs <= fds }) // it may be at work
		held = append(held, own)
		t.Logf("after %v: %d descriptors, %d at first, and %d KiB, %d of them its own", time.Since(began).Round(time.Second), nowFDs, fds, memory, own)
		if nowFDs > fds || memory > mostBusy {
			t.Errorf("the agent has grown: %q", descriptors(t, a.PID()))
		}
		if t.Failed() || time.Since(began) >= lasting {
			break
		}
	}
	if rise, ok := growth(held); ok {
		t.Logf("own memory in %d looks: %d to %d KiB, %+d KiB from the first to the end", len(held), slices.Min(held), slices.Max(held), rise)
		if rise > mostRise {
			t.Errorf("it grows by %d KiB", rise)
		}
	}
	sent, passed := stop()
	t.Logf("%d frames sent", sent)
	if passed > 0 || sent == 0 {
		t.Errorf("of %d frames %d passed a program that drops all", sent, passed)
	}
	a.end(t)
	if i := slices.IndexFunc(c.slots, func(name string) bool { return name != "" && names(t, name) != "" }); i >= 0 {
		t.Errorf("without files %s runs %s", c.slots[i], names(t, c.slots[i]))
	}
}

// How much memory an agent may have, in KiB.
const (
	most     = 25 << 10 // at rest
	mostBusy = 28 << 10 // when it has been reloaded, and mends what it has met then
	mostRise = 1 << 10  // in all the time that it lives
)

// growth is by how much memory has risen: the least of the last sixth of the looks, compared with
// that of the second, as a process has all it needs after the first. How much more it takes in between
// depends on when it collects its garbage, and so on what else runs on the machine: what is leaked is
// never given back, and lifts the least. Of a few looks nothing can be said.
func growth(looks []int) (rise int, ok bool) {
	const parts, each = 6, 4
	part := len(looks) / parts
	if part < each {
		return 0, false
	}
	return slices.Min(looks[len(looks)-part:]) - slices.Min(looks[part:2*part]), true
}

// TestGrowth: what looks at a process tell of a leak.
func TestGrowth(t *testing.T) {
	looks := func(at func(i int) int) (all []int) {
		for i := range 600 {
			all = append(all, 10<<10+i*7919%2000+at(i)) // up to 2 MiB of garbage
		}
		return all
	}
	for name, c := range map[string]struct {
		at    func(i int) int
		grows bool
	}{
		"level":              {at: func(int) int { return 0 }},
		"a start":            {at: func(i int) int { return min(i, 50) * 40 }},
		"a busy while":       {at: func(i int) int { return map[bool]int{true: 3 << 10}[i > 300 && i < 500] }},
		"a busy end":         {at: func(i int) int { return map[bool]int{true: 3 << 10}[i > 550] }},
		"a leak":             {at: func(i int) int { return 3 * i }, grows: true},
		"a leak that starts": {at: func(i int) int { return max(i-300, 0) * 8 }, grows: true},
	} {
		if rise, ok := growth(looks(c.at)); !ok || rise > mostRise != c.grows {
			t.Errorf("%s: rises by %d KiB, %v", name, rise, ok)
		}
	}
	if rise, ok := growth(make([]int, 20)); ok {
		t.Errorf("of 20 looks: rises by %d KiB", rise)
	}
}
