package observe

import (
	"bytes"
	"encoding/binary"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/test/harness"
)

// onProcessors runs f at once on the first processor, as 0, and on the last one, as 1. It returns when both
// have ended.
func onProcessors(t testing.TB, f func(i int)) {
	t.Helper()
	var both sync.WaitGroup
	for i, cpu := range []int{0, runtime.NumCPU() - 1} {
		both.Add(1)
		go func() {
			defer both.Done()
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			var one unix.CPUSet
			one.Set(cpu)
			if err := unix.SchedSetaffinity(0, &one); err != nil {
				t.Error(err)
				return
			}
			f(i)
		}()
	}
	both.Wait()
}

// Packets that come to two interfaces on two processors at once are in the file in the order in which they came,
// none twice and none missing, with the points of each together.
func TestProcessors(t *testing.T) {
	harness.NoLeak(t)
	v := []*harness.Veth{harness.NewVeth(t), harness.NewVeth(t)}
	stepsOn(t, v[0], 2)
	stepsOn(t, v[1], 2)
	d := []*libbpf.FD{dispatcherOf(t, v[0]), dispatcherOf(t, v[1])}
	name := filepath.Join(t.TempDir(), "processors.pcapng")
	p := harness.Start(t, xdpmux, "trace", v[0].Name+","+v[1].Name, "-w", name, "--at", "programs")
	p.Stderr.Line(t) // it captures
	const each = 500
	var turn sync.Mutex
	sent := uint32(0)
	onProcessors(t, func(i int) {
		frame := packet()
		frame[20] = byte(i)
		for n := range uint32(2 * each) {
			// At first both processors send as they like; then one has to wait for the other.
			if n >= each {
				turn.Lock()
				sent++
				n = each + sent
			}
			binary.BigEndian.PutUint32(frame[16:], n)
			testRun(t, v[i], d[i], frame, 1)
			if n >= each {
				turn.Unlock()
			}
		}
	})
	p.Stop(t, exitSignal)
	packets, points := harness.ReadPoints(t, name)
	var next [2]uint32 // of each processor, at first
	both := uint32(each)
	seen, changes, last := 0, 0, byte(0)
	for i := 0; i < len(packets); i += 4 {
		if i+4 > len(packets) {
			t.Fatalf("%d records", len(packets))
		}
		data := packets[i].Data
		ifname, _, _ := strings.Cut(packets[i].Interface, ":")
		for k, c := range packets[i : i+4] {
			side := []string{"0()@fentry", "0()@fexit", "1()@fentry", "1()@fexit"}[k]
			if c.Interface != ifname+":step"+side || c.ID != packets[i].ID || !bytes.Equal(c.Data, data) {
				t.Fatalf("record %d is packet %d at %s, behind packet %d at %s", i+k, c.ID, c.Interface, packets[i].ID, packets[i].Interface)
			}
		}
		if len(data) != len(packet()) {
			continue // of the stack
		}
		n, cpu := binary.BigEndian.Uint32(data[16:]), data[20]
		if ifname != v[cpu].Name {
			t.Fatalf("a packet of %s is said to be of %s", v[cpu].Name, ifname)
		}
		if n < each {
			if n != next[cpu] {
				t.Fatalf("processor %d: packet %d, want %d", cpu, n, next[cpu])
			}
			next[cpu]++
		} else {
			if both++; n != both {
				t.Fatalf("packet %d of processor %d, want %d", n, cpu, both)
			}
		}
		if seen++; cpu != last {
			changes++
			last = cpu
		}
	}
	if seen != 4*each || changes < 2 {
		t.Errorf("%d packets of %d, and the processor changed %d times", seen, 4*each, changes)
	}
	if len(points) != 8 {
		t.Errorf("%d points", len(points))
	}
	for point, n := range points {
		if n.Received != n.Delivered || n.Lost != 0 || n.Received < 2*each {
			t.Errorf("%s: %+v", point, n)
		}
	}
}
