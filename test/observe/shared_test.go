package observe

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// loadShared loads steps on all of these interfaces at once, so that they share them.
func loadShared(t testing.TB, all []*harness.Veth, names ...string) {
	t.Helper()
	var ifnames []string
	for _, v := range all {
		ifnames = append(ifnames, v.Name)
	}
	args := []string{"load", strings.Join(ifnames, ",")}
	for i, name := range names {
		args = append(args, fmt.Sprintf("%s@name=%s,prio=%d,actions=XDP_PASS", steps, name, i+1))
	}
	harness.MustRun(t, xdpmux, args...)
}

// If several interfaces share a program, a packet counts for the one that it came in on, and is
// traced only there.
func TestSharedProgram(t *testing.T) {
	for _, programs := range [][]string{{"step0"}, {"step0", "step1"}} {
		t.Run(fmt.Sprint(len(programs)), func(t *testing.T) { testSharedProgram(t, programs) })
	}
}

func testSharedProgram(t *testing.T, programs []string) {
	harness.NoLeak(t)
	all := []*harness.Veth{harness.NewVeth(t), harness.NewVeth(t), harness.NewVeth(t)}
	loadShared(t, all, programs...)
	id := harness.Status(t, all[0].Name).Programs[0].ID
	if other := harness.Status(t, all[1].Name).Programs[0].ID; other != id {
		t.Fatalf("programs %d and %d are not shared", id, other)
	}
	o := open(t, observe.Options{Latency: true}, all[0].Name, all[1].Name)
	defer o.Close()
	l := live(t, all[0], observe.LiveOptions{})
	defer l.Close()
	sent := []int{23, 77, 11}
	for i, v := range all {
		frames := make([][]byte, sent[i])
		for n := range frames {
			frames[n] = mixFrame(xdp.Pass, xdp.Drop)
		}
		v.Deliver(t, frames...)
	}
	s := o.Read()
	for i, c := range s.Chains {
		for _, p := range c.Programs {
			if p.Packets != uint64(sent[i]) || p.Missed != 0 || p.Times.Packets != uint64(sent[i]) {
				t.Errorf("%s: %s counts %+v, and the time of %d, want %d packets", c.Interface.Name, p.Name, p.Counts, p.Times.Packets, sent[i])
			}
		}
	}
	if got := next(t, l); len(got) != sent[0] || l.Missed() != 0 || l.Lost() != 0 {
		t.Errorf("traced %d packets, missed %d, lost %d, want %d", len(got), l.Missed(), l.Lost(), sent[0])
	}
}

// More interfaces share programs than the kernel takes observers for a program.
func TestSharedByMany(t *testing.T) {
	harness.NoLeak(t)
	n := harness.Scaled(200, 60)
	var all []*harness.Veth
	var names []string
	for range n {
		v := harness.NewVeth(t)
		all, names = append(all, v), append(names, v.Name)
	}
	loadShared(t, all, "step0", "step1")
	began := time.Now()
	o := open(t, observe.Options{}, names...)
	defer o.Close()
	t.Logf("figure: %d interfaces observed after %v", n, time.Since(began))
	for i, v := range all {
		d := dispatcherOf(t, v)
		testRun(t, v, d, packet(xdp.Drop), i+1)
		testRun(t, v, d, packet(xdp.Pass, xdp.TX), 2*i+1)
	}
	for i, c := range o.Read().Chains {
		drop, tx := uint64(i+1), uint64(2*i+1)
		for at, want := range []observe.Counts{
			{Packets: drop + tx, Verdicts: observe.Verdicts{xdp.Drop: drop, xdp.TX: tx}, Decided: drop + tx,
				Final: observe.Verdicts{xdp.Drop: drop, xdp.TX: tx}},
			{Packets: drop + tx, Verdicts: observe.Verdicts{xdp.Drop: drop, xdp.Pass: tx}, HandedOn: tx, Decided: drop,
				Final: observe.Verdicts{xdp.Drop: drop}},
			{Packets: tx, Verdicts: observe.Verdicts{xdp.TX: tx}, Decided: tx, Final: observe.Verdicts{xdp.TX: tx}},
		} {
			if p := c.Programs[at]; p.Counts != want || p.Blind != nil {
				t.Errorf("%s: %s counts %+v (%v), want %+v", c.Interface.Name, p.Name, p.Counts, p.Blind, want)
			}
		}
	}
}

// The argument of a legacy program may have an unusual type. Such a program is counted by
// interface, too.
func TestUntyped(t *testing.T) {
	harness.NoLeak(t)
	obj, err := libbpf.OpenFile(steps, libbpf.OpenOptions{LogSize: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	defer obj.Close()
	var untyped *libbpf.Program
	for _, p := range obj.Programs() {
		if err := p.SetAutoload(p.Name() == "untyped"); err != nil {
			t.Fatal(err)
		}
		if p.Autoload() {
			untyped = p
		}
	}
	if err := errors.Join(untyped.SetType(libbpf.ProgTypeXDP), obj.Load()); err != nil {
		t.Fatalf("%v %s", err, dispatcher.VerifierLog(err))
	}
	v, other := harness.NewVeth(t), harness.NewVeth(t)
	for _, v := range []*harness.Veth{v, other} {
		v.Attach(t, untyped.FD(), harness.Native)
		defer v.Close(t)
	}
	for _, latency := range []bool{false, true} {
		o := open(t, observe.Options{Latency: latency}, v.Name)
		fd := libbpf.NewFD(untyped.FD())
		testRun(t, v, fd, packet(xdp.Drop), 5)
		testRun(t, other, fd, packet(xdp.Drop), 7)
		fd.Release()
		for _, p := range o.Read().Chains[0].Programs {
			if p.Packets != 5 || p.Blind != nil {
				t.Errorf("%s: %+v, %v, want 5 packets", p.Name, p.Counts, p.Blind)
			}
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
}
