package observe

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/test/harness"
)

// Of a flood on two processors, what came to a point was written or is counted as lost there.
func TestWriteFlood(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 2)
	name := filepath.Join(t.TempDir(), "flood.pcapng")
	p := harness.Start(t, xdpmux, "trace", v.Name, "-w", name, "--at", "programs", "--snaplen", "100", "--buffer", "1")
	if said := p.Stderr.Line(t); said != "xdpmux: capturing on "+v.Name {
		t.Fatal(said)
	}
	big := append(packet(), make([]byte, 2000)...)
	const each = 4000 // of some 600 bytes with their points, in 1 MiB that nobody reads meanwhile
	const sent = 2 * each
	d := dispatcherOf(t, v)
	p.Pause(t)
	onProcessors(t, func(i int) {
		frame := bytes.Clone(big)
		frame[20] = byte(i)
		testRun(t, v, d, frame, each)
	})
	p.Signal(t, syscall.SIGCONT)
	p.Stop(t, exitSignal)
	if out := p.Stdout.String(); strings.Contains(out, " bytes: ") || !strings.Contains(out, " Program ") {
		t.Errorf("without --print it shows\n%s", out)
	}
	packets, points := harness.ReadPoints(t, name)
	if len(points) != 4 {
		t.Errorf("%d points", len(points))
	}
	for point, n := range points {
		if n.Received < sent || n.Lost == 0 || n.Received != n.Lost+n.Delivered {
			t.Errorf("%s: %+v", point, n)
		}
		if said := fmt.Sprintf("%d packets came too fast", n.Lost); !strings.Contains(p.Stderr.String(), said) {
			t.Errorf("no %q in %s", said, p.Stderr)
		}
	}
	var of [2]int
	for _, c := range packets {
		if c.Length == len(big) {
			of[c.Data[20]]++
		}
		if len(c.Data) > 100 || c.Length == len(big) && len(c.Data) != 100 {
			t.Fatalf("%d of %d bytes", len(c.Data), c.Length)
		}
	}
	if kept := []int{min(of[0], of[1]), of[0] + of[1]}; runtime.NumCPU() > 1 && kept[0] < 4000 || kept[1] < 4000 {
		t.Errorf("of the processors' packets %v are there", of)
	}
	harness.MustRun(t, xdpmux, "trace", v.Name, "--duration", "100ms")
}

// On a full disk the file has whole packets, and those that it lacks are counted. So are those
// that came too fast.
func TestWriteFull(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 1)
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=200k"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, 0)
	name := filepath.Join(dir, "full.pcapng")
	p := harness.Start(t, xdpmux, "trace", v.Name, "--print", "-w", name)
	big := append(packet(), make([]byte, 1000)...)
	frames := slices.Repeat([][]byte{big}, 100)
	for delivering := true; delivering; {
		select {
		case <-p.Ended():
			delivering = false
		default:
			v.Deliver(t, frames...)
		}
	}
	p.End(t, 1)
	packets, _ := harness.ReadPoints(t, name)
	said := regexp.MustCompile(`can't write \S+full.pcapng: no space left on device\n  the last packets, (\d+) of them, are lost`).FindStringSubmatch(p.Stderr.String())
	if said == nil || len(packets) < 50 {
		t.Fatalf("%d packets, and it says %s", len(packets), p.Stderr)
	}
	if shown := strings.Count(p.Stdout.String(), " bytes: "); fmt.Sprint(shown+1-len(packets)) != said[1] {
		t.Errorf("%d shown, %d in the file, %s said to be lost", shown, len(packets), said[1])
	}
	for i, c := range packets {
		if c.ID != uint64(i+1) || !bytes.Equal(c.Data, big) {
			t.Fatalf("packet %d has number %d and % x", i+1, c.ID, c.Data[:20])
		}
	}
}

// Files of a million bytes follow each other, with all packets in their order, as names and number
// tell. A full disk ends the last one.
func TestWriteRotates(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 1)
	big := append(packet(), make([]byte, 1400)...)
	frames := slices.Repeat([][]byte{big}, 100)
	for _, c := range []struct {
		space  string
		args   []string
		names  []string
		status int
	}{
		{"8m", []string{"--count", "1500"}, []string{"f", "f1", "f2"}, 0},
		{"8m", []string{"--count", "1500", "--files", "2"}, []string{"f0", "f1"}, 0},
		{"2500k", nil, []string{"f", "f1", "f2"}, 1},
	} {
		dir := t.TempDir()
		if err := unix.Mount("none", dir, "tmpfs", 0, "size="+c.space); err != nil {
			t.Fatal(err)
		}
		defer unix.Unmount(dir, 0)
		p := harness.Start(t, xdpmux, append([]string{"trace", v.Name, "--print", "-w", filepath.Join(dir, "f"), "--size", "1", "--buffer", "16"}, c.args...)...)
		for delivering := true; delivering; {
			select {
			case <-p.Ended():
				delivering = false
			default:
				v.Deliver(t, frames...)
			}
		}
		p.End(t, c.status)
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var ids []uint64
		delivered, names := uint64(0), []string{}
		for _, e := range entries {
			names = append(names, e.Name())
			info, err := e.Info()
			if err != nil || info.Size() > 1_100_000 {
				t.Errorf("%s has %d bytes, %v", e.Name(), info.Size(), err)
			}
			packets, points := harness.ReadPoints(t, filepath.Join(dir, e.Name()))
			for _, packet := range packets {
				ids = append(ids, packet.ID)
			}
			for _, s := range points {
				delivered += s.Delivered
			}
		}
		slices.Sort(ids)
		shown := uint64(strings.Count(p.Stdout.String(), " bytes: "))
		lost := uint64(0)
		if said := regexp.MustCompile(`the last packets, (\d+) of them, are lost`).FindStringSubmatch(p.Stderr.String()); said != nil {
			fmt.Sscan(said[1], &lost)
			shown++                      // the packet that couldn't be written
			delivered = uint64(len(ids)) // the last file has no statistics
		}
		if !slices.Equal(names, c.names) || len(ids) == 0 || delivered != uint64(len(ids)) || (lost > 0) != (c.status > 0) ||
			ids[len(ids)-1] != shown-lost || ids[0] != shown-lost-uint64(len(ids))+1 || !slices.Contains(c.args, "--files") && ids[0] != 1 {
			t.Errorf("%v: files %v with packets %d to %d, %d of them, %d said to be there; %d shown, %d said to be lost: %s",
				c.args, names, ids[0], ids[len(ids)-1], len(ids), delivered, shown, lost, p.Stderr)
		}
	}
}
