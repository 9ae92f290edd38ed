package harness_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

var modes = []harness.Mode{harness.Native, harness.SKB}

// flows is one frame of each kind, all different.
func flows() [][]byte {
	return [][]byte{
		harness.UDP4(harness.Flow{Payload: []byte("a")}),
		harness.TCP4(harness.Flow{Payload: []byte("b")}),
		harness.UDP6(harness.Flow{PayloadLen: 100}),
		harness.TCP6(harness.Flow{PayloadLen: 1400}),
		harness.UDP4(harness.Flow{VLAN: []uint16{42}}),
		harness.ARP(harness.Flow{}),
	}
}

func many(n int) [][]byte {
	var frames [][]byte
	for i := range n {
		frames = append(frames, harness.TCP4(harness.Flow{Payload: []byte(fmt.Sprint("frame ", i))}))
	}
	return frames
}

func equal(t *testing.T, what string, got, want [][]byte) {
	t.Helper()
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Fatalf("%s: %d frames, want %d\n got %x...\nwant %x...", what, len(got), len(want), got[:min(3, len(got))], want[:min(3, len(want))])
	}
}

func TestDeliverWithoutProgram(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	equal(t, "passed", v.Deliver(t, flows()...), flows())
	equal(t, "nothing sent", v.Deliver(t), nil)
	equal(t, "passed, more than a batch", v.Deliver(t, many(200)...), many(200))
}

func TestDeliverWithProgram(t *testing.T) {
	for _, mode := range modes {
		for _, c := range []struct {
			action           harness.Action
			passed, returned [][]byte
		}{
			{harness.Pass, many(100), nil},
			{harness.Drop, nil, nil},
			{harness.Aborted, nil, nil},
			{harness.TX, nil, many(100)},
		} {
			t.Run(fmt.Sprint(mode, "/", c.action), func(t *testing.T) {
				harness.NoLeak(t)
				v := harness.NewVeth(t)
				v.AcceptReturned(t)
				v.Attach(t, harness.Program(t, c.action), mode)
				passed, returned := v.Exchange(t, many(100)...)
				equal(t, "passed", passed, c.passed)
				equal(t, "returned", returned, c.returned)
				v.Attach(t, -1, mode)
				equal(t, "passed without the program", v.Deliver(t, flows()...), flows())
			})
		}
	}
}

// Deliver must know without luck whether the last of many frames was dropped or is only late. So
// this test tries it many times, while other threads keep both processors and the backlogs busy.
func TestDeliverUnderLoad(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			v, other := harness.NewVeth(t), harness.NewVeth(t)
			stop := make(chan struct{})
			var noise sync.WaitGroup
			noise.Add(1)
			go func() {
				defer noise.Done()
				for {
					select {
					case <-stop:
						return
					default:
						other.Send(t, many(20)...)
					}
				}
			}()
			drop, pass := harness.Program(t, harness.Drop), harness.Program(t, harness.Pass)
			for range 30 {
				v.Attach(t, drop, mode)
				equal(t, "passed by drop", v.Deliver(t, many(31)...), nil)
				v.Attach(t, -1, mode)
				v.Attach(t, pass, mode)
				equal(t, "passed by pass", v.Deliver(t, many(31)...), many(31))
				v.Attach(t, -1, mode)
			}
			close(stop)
			noise.Wait()
		})
	}
}

func TestSendAndMTU(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	v.SetMTU(t, 9000)
	long := harness.UDP4(harness.Flow{PayloadLen: 8900})
	equal(t, "jumbo frame", v.Deliver(t, long), [][]byte{long})
	v.Send(t, many(3)...)
	equal(t, "frames of Send are not Deliver's", v.Deliver(t, long), [][]byte{long})
}

func TestNetns(t *testing.T) {
	harness.NoLeak(t)
	harness.InNetns(t, func() {
		v := harness.NewVeth(t)
		v.Attach(t, harness.Program(t, harness.Drop), harness.SKB)
		equal(t, "passed", v.Deliver(t, flows()...), nil)
		if got := harness.MustRun(t, "ip", "-br", "link"); !strings.Contains(got, v.Name) {
			t.Errorf("ip link inside doesn't show %s:\n%s", v.Name, got)
		}
		if got := harness.MustRun(t, "stat", "-f", "-c", "%T", "/sys/fs/bpf"); !strings.Contains(got, "bpf") && !strings.Contains(got, "cafe4a11") && !strings.Contains(got, "UNKNOWN") {
			t.Errorf("bpffs inside: %s", got)
		}
	})
	n := harness.NewNetns(t)
	inside := harness.MustRun(t, "nsenter", "--net="+n.Path(), "ip", "-br", "link")
	if outside := harness.MustRun(t, "ip", "-br", "link"); len(strings.Fields(inside)) != 4 || strings.Contains(outside, "xm") {
		t.Errorf("links inside:\n%s\noutside:\n%s", inside, outside)
	}
}

func TestRun(t *testing.T) {
	stdout, stderr, status := harness.RunEnv(t, []string{"A=b"}, "sh", "-c", "echo out $A; echo err >&2; exit 3")
	if stdout != "out b\n" || stderr != "err\n" || status != 3 {
		t.Errorf("got %q, %q, %d", stdout, stderr, status)
	}
}

// Everything that Main and NoLeak are to see, one by one.
func TestDiff(t *testing.T) {
	harness.NoLeak(t)
	before := harness.Snapshot(t)
	leak := func(want string, let func() (undo func())) {
		t.Helper()
		undo := let()
		diff := before.Diff(harness.Snapshot(t))
		undo()
		if !slices.ContainsFunc(diff, func(d string) bool { return strings.HasPrefix(d, want) }) {
			t.Errorf("want a line %q...; got %q", want, diff)
		}
		before.Check(t)
	}
	leak("new: fd /dev/null", func() func() {
		f, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		return func() { f.Close() }
	})
	leak("new: fd socket", func() func() {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		return func() { unix.Close(fd) }
	})
	leak("new: interface", func() func() {
		v := harness.NewVeth(t)
		return func() { v.Close(t) }
	})
	leak("new: network namespace leaky", func() func() {
		harness.MustRun(t, "ip", "netns", "add", "leaky")
		return func() { harness.MustRun(t, "ip", "netns", "del", "leaky") }
	})
	pin := "/sys/fs/bpf/leaky"
	for _, want := range []string{"new: map ", "new: pin " + pin} {
		leak(want, func() func() {
			harness.MustRun(t, "bpftool", "map", "create", pin, "type", "array", "key", "4", "value", "4", "entries", "1", "name", "leaky")
			return func() { os.Remove(pin) }
		})
	}
	for _, want := range []string{"new: program ", "new: fd anon_inode:bpf-prog"} {
		leak(want, func() func() {
			// A test of its own, that ends and closes it, is what undoes it.
			release, done := make(chan struct{}), make(chan struct{})
			loaded := make(chan struct{})
			go func() {
				defer close(done)
				t.Run("program", func(t *testing.T) {
					harness.Program(t, harness.Pass)
					close(loaded)
					<-release
				})
			}()
			<-loaded
			return func() { close(release); <-done }
		})
	}
	if diff := harness.Snapshot(t).Diff(before); diff != nil {
		t.Errorf("still: %q", diff)
	}
}

// What libxdp leaves of an interface that disappears is removed with the pair.
func TestVethRemovesPins(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	dir := fmt.Sprintf("/sys/fs/bpf/xdp/dispatch-%d-99", v.Index)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	harness.MustRun(t, "bpftool", "map", "create", filepath.Join(dir, "prog0-prog"), "type", "array", "key", "4", "value", "4", "entries", "1", "name", "x")
	v.Close(t)
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", dir, err)
	}
}
