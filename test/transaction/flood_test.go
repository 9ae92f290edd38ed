package transaction

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// flood sends marked and plain frames in turn until it is stopped, as fast as it
// can, and says how many the pair has taken over.
func flood(t *testing.T, v *harness.Veth) (stop func() (taken uint64)) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ending atomic.Bool
	done := make(chan error, 1)
	go func() {
		to := &unix.SockaddrLinklayer{Ifindex: v.PeerIndex}
		frames := [][]byte{padded(frame(marked)), padded(frame(plain))}
		for i := 0; !ending.Load(); i++ {
			err := unix.Sendto(fd, frames[i%2], 0, to)
			if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
				done <- err
				return
			}
		}
		done <- nil
	}()
	return func() uint64 {
		ending.Store(true)
		err := <-done
		unix.Close(fd)
		if err != nil {
			t.Fatalf("send: %v", err)
		}
		// One frame that is waited for: all before it have been through the chain.
		v.Deliver(t, padded(frame(marked)))
		return received(t, v)
	}
}

// received is how many frames the driver has run programs on.
func received(t *testing.T, v *harness.Veth) uint64 {
	t.Helper()
	l, err := netlink.LinkByIndex(v.Index)
	if err != nil {
		t.Fatal(err)
	}
	return l.Attrs().Statistics.RxPackets
}

// TestNoGap changes a chain while packets come and both tools clean. No packet misses a program,
// programs that stay count each packet once, and maps keep their contents.
func TestNoGap(t *testing.T) {
	harness.NoLeak(t)
	harness.FillShortcut(t)
	v := harness.NewVeth(t)
	front, guard, behind := fixture("flood", "front"), fixture("flood", "guard"), fixture("flood", "behind")
	front.Priority, guard.Priority, behind.Priority = prio(10), prio(20), prio(90)
	bystander := fixture("verdicts", "v_pass")
	bystander.Priority = prio(50)
	done := commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{front, guard, bystander, behind}})
	ids := map[string]uint32{}
	for _, p := range done.Added {
		ids[p.Name] = p.ID
	}
	before := received(t, v)
	defer cleaning(t, harness.Xdpmux(), native)()
	stop := flood(t, v)
	seen := []uint32{done.Chain.Dispatcher.ID}
	chance := harness.Chance(t)
	changes := harness.Scaled(500, 30)
	start := time.Now()
	for range changes {
		if chance.IntN(4) == 0 {
			chain := apply(t, v.Name, bystander, 21+chance.IntN(69))
			if id := chain.Dispatcher.ID; !slices.Contains(seen, id) {
				seen = append(seen, id)
			}
			p, err := chain.Find(bystander.Name)
			if err != nil {
				t.Fatal(err)
			}
			ids[bystander.Name] = p.ID
			continue
		}
		tx, name := randomChange(chance, ids)
		done := commit(t, v.Name, tx)
		if len(done.Replaced) > 0 {
			ids[name] = done.Replaced[0].New.ID
		}
		if id := done.Chain.Dispatcher.ID; slices.Contains(seen, id) == done.Changed {
			t.Errorf("dispatchers %v, and then %d, changed: %v", seen, id, done.Changed)
		} else if done.Changed {
			seen = append(seen, id)
		}
	}
	took := time.Since(start)
	packets := stop() - before
	t.Logf("%d packets, %d changes, %v each", packets, len(seen)-1, took/time.Duration(changes))

	f, g, b := harness.Counters(t, ids["front"]), harness.Counters(t, ids["guard"]), harness.Counters(t, ids["behind"])
	if f[0]+f[1] != packets {
		t.Errorf("front counted %d of %d packets", f[0]+f[1], packets)
	}
	if b[1] != 0 {
		t.Errorf("%d marked packets got past the guard", b[1])
	}
	if g[1] != f[1] {
		t.Errorf("the guard dropped %d of %d marked packets", g[1], f[1])
	}
	if b[0] != f[0] {
		t.Errorf("behind counted %d of %d plain packets", b[0], f[0])
	}
	if packets < uint64(changes) {
		t.Errorf("only %d packets: that proves nothing", packets)
	}
	checkPins(t, v)
	unload(t, v.Name)
}

// apply declares a state in which the program runs at that priority, applies it, and returns the
// chain. The state knows nothing of the other programs.
func apply(t *testing.T, ifname string, p xdp.Program, priority int) *dispatcher.Chain {
	t.Helper()
	object, err := filepath.Abs(p.File)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "state.yaml")
	text := fmt.Sprintf("interfaces: [{name: %s, programs: [{name: it, object: %s, program: %s, priority: %d}]}]\n", ifname, object, p.Name, priority)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	state, err := desired.Read(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	plans, err := state.Apply(t.Context(), desired.Options{})
	if err != nil || len(plans) != 1 || plans[0].Err != nil {
		t.Fatalf("apply: %+v, %v", plans, err)
	}
	return status(t, ifname)
}

// randomChange replaces one of the programs in ids, or changes its priority so that it doesn't
// pass the next of them.
func randomChange(chance *rand.Rand, ids map[string]uint32) (tx dispatcher.Transaction, name string) {
	places := map[string]uint32{"front": 10, "guard": 20, "v_pass": 50, "behind": 90}
	all := []string{"front", "guard", "v_pass", "behind"}
	name = all[chance.IntN(len(all))]
	tx.Mode = xdp.ModeUnspecified
	switch chance.IntN(3) {
	case 0:
		object := "flood"
		if name == "v_pass" {
			object = "verdicts"
		}
		tx.Replace = []dispatcher.Replacement{{ID: ids[name], Program: fixture(object, name), KeepMaps: true}}
	case 1: // only a bystander may stand anywhere
		p := places[name] + chance.Uint32N(9)
		if name == "v_pass" {
			p = chance.Uint32N(200)
		}
		tx.Set = []dispatcher.Setting{{ID: ids[name], Priority: &p}}
	case 2:
		a := actions(xdp.Pass)
		if chance.IntN(2) == 0 {
			a = actions(xdp.Pass, xdp.TX)
		}
		tx.Set = []dispatcher.Setting{{ID: ids[name], Actions: a}, {ID: ids["v_pass"], Priority: prio(chance.Uint32N(200))}}
		if name == "v_pass" {
			tx.Set = tx.Set[:1]
		}
	}
	return tx, name
}

// TestOneSwap counts dispatchers: whatever a transaction holds, it makes one.
func TestOneSwap(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	var programs []xdp.Program
	for i := range xdp.MaxPrograms {
		p := fixture("verdicts", "v_pass")
		p.Priority = prio(uint32(i))
		programs = append(programs, p)
	}
	chain := commit(t, v.Name, dispatcher.Transaction{Add: programs}).Chain
	id := func(i int) uint32 { return chain.Programs[i].ID }
	tx := dispatcher.Transaction{
		Add:     []xdp.Program{fixture("flood", "behind"), fixture("flood", "front")},
		Remove:  []uint32{id(0), id(1), id(2)},
		Replace: []dispatcher.Replacement{{ID: id(3), Program: fixture("flood", "guard")}, {ID: id(4), Program: fixture("verdicts", "v_drop")}},
		Set:     []dispatcher.Setting{{ID: id(9), Priority: prio(0)}, {ID: id(8), Actions: actions(xdp.Aborted)}},
	}
	done := commit(t, v.Name, tx)
	want := []string{"v_pass", "guard", "v_drop", "v_pass", "v_pass", "v_pass", "v_pass", "behind", "front"}
	if got := names(done.Chain); !slices.Equal(got, want) {
		t.Errorf("chain: %q, want %q", got, want)
	}
	if got := done.Chain.Programs[0]; got.ID != id(9) || got.Priority != 0 {
		t.Errorf("first program: %+v, want %d with priority 0", got, id(9))
	}
	if got := status(t, v.Name); !reflect.DeepEqual(got, done.Chain) {
		t.Errorf("status: %+v, and the commit said %+v", got, done.Chain)
	}
	bothShow(t, v.Name)
	checkPins(t, v)
	if again := commit(t, v.Name, dispatcher.Transaction{Mode: xdp.ModeUnspecified, Set: []dispatcher.Setting{{ID: id(9), Priority: prio(0)}}}); again.Changed || again.Chain.Dispatcher.ID != done.Chain.Dispatcher.ID {
		t.Error("a change to what is there already made a swap")
	}
	unload(t, v.Name)
}
