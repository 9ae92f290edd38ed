package loaded_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// What the map of hold.bpf.c counts.
const inside, letGo, left = 0, 1, 2

// held is a chain of a program that keeps a packet inside, and of a guard behind that
// drops it.
type held struct {
	*testing.T
	veth    *harness.Veth
	ids     []uint32   // hold, guard
	in      *libbpf.FD // the dispatcher that the packet is in
	packets *maps.Map
	passed  chan int
}

func newHeld(t *testing.T) *held {
	v := harness.NewVeth(t)
	hold := xdp.Program{File: fixture("hold"), Priority: xdp.Prio(10)}
	guard := xdp.Program{File: fixture("flood"), Name: "guard", Priority: xdp.Prio(20)}
	done, err := dispatcher.Transaction{Add: []xdp.Program{hold, guard}}.Commit(t.Context(), v.Name)
	if err != nil {
		t.Fatal(err)
	}
	h := &held{T: t, veth: v, passed: make(chan int, 1)}
	for _, p := range done.Added {
		h.ids = append(h.ids, p.ID)
	}
	if h.packets, err = maps.Open(h.ids[0], "packets"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.in.Close()
		h.packets.Close()
	})
	return h
}

// marked is a packet that the guard drops. The first program holds those of sender 1.
func marked(sender byte) []byte {
	return append([]byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, sender, 0x88, 0xb6}, make([]byte, 46)...)
}

func fixture(name string) string { return filepath.Join("../../../build/bpf/fixtures", name+".o") }

// send sends a packet that the guard drops, and returns when it is in the program before.
func (h *held) send() {
	chain, err := dispatcher.Status(context.Background(), h.veth.Name)
	if err == nil {
		h.in, err = libbpf.ProgByID(chain.Dispatcher.ID)
	}
	if err != nil {
		h.Error(err)
		return
	}
	go func() { h.passed <- len(h.veth.Deliver(h, marked(1))) }()
	if !harness.Eventually(func() bool { return h.count(inside) != 0 }) {
		h.Error("no packet gets into the first program")
	}
}

// waitForUnlink returns when the guard is out of the dispatcher that the packet is in, so
// that a packet of another sender passes. The kernel takes it out later than the last holder
// of its link lets go, and later than the link's id is gone.
func (h *held) waitForUnlink() {
	const pass = 2
	if !harness.Eventually(func() bool {
		run, err := libbpf.TestRun(h.in.Int(), libbpf.TestRunOptions{Data: marked(2)})
		if err != nil {
			h.Error(err)
			return true
		}
		return run.Return == pass
	}) {
		h.Error("the guard stays in its slot")
	}
}

func (h *held) count(key uint32) uint64 {
	n, err := maps.Lookup[uint64](h.packets, key)
	if err != nil {
		h.Error(err)
		return 1
	}
	return n[0]
}

// letGo lets the packet go on, and says how many have got past the guard.
func (h *held) letGo() int {
	fd, err := libbpf.MapByID(h.packets.ID)
	if err == nil {
		defer fd.Close()
		err = libbpf.MapUpdate(fd.Int(), binary.NativeEndian.AppendUint32(nil, letGo), binary.NativeEndian.AppendUint64(nil, 1), libbpf.UpdateAny)
	}
	if err != nil {
		h.Error(err)
	}
	return <-h.passed
}

// priority is a change that makes a swap.
func (h *held) priority(ctx context.Context) error {
	_, err := dispatcher.Transaction{Mode: xdp.ModeUnspecified, Set: []dispatcher.Setting{{ID: h.ids[0], Priority: xdp.Prio(11)}}}.Commit(ctx, h.veth.Name)
	return err
}

// takenBack is a load on two interfaces that the second refuses, while the packet is in the
// first one's new chain.
func (h *held) takenBack(ctx context.Context) error {
	second := harness.NewVeth(h)
	second.SetMTU(h, 9000)
	opts := dispatcher.AttachAllOptions{Progress: func(step dispatcher.Step, i int) {
		if step == dispatcher.StepSwap && i == 1 {
			h.send()
		}
	}}
	front := []xdp.Program{{File: fixture("flood"), Name: "front", Priority: xdp.Prio(30)}}
	_, err := dispatcher.AttachAll(ctx, []string{h.veth.Name, second.Name}, front, opts)
	if !errors.Is(err, xdp.ErrModeNotSupported) {
		return fmt.Errorf("it was not refused: %w", err)
	}
	return nil
}

// clean removes what a change has left that was killed before it could wait.
func (h *held) clean(ctx context.Context) error {
	_, err := dispatcher.Clean(ctx, dispatcher.CleanOptions{})
	return err
}

// TestHeldPacket holds a packet in the first program of a chain while another chain takes
// its place: the guard behind has to drop it, and would not if nobody waited for it.
func TestHeldPacket(t *testing.T) {
	harness.FillShortcut(t)
	for _, c := range []struct {
		name   string
		change func(*held, context.Context) error
	}{{"change", (*held).priority}, {"taken back", (*held).takenBack}, {"clean", (*held).clean}} {
		for _, waits := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%t", c.name, waits), func(t *testing.T) {
				harness.NoLeak(t)
				h := newHeld(t)
				if c.name != "taken back" {
					h.send()
				}
				if c.name == "clean" {
					killed(h)
				}
				begun, over := make(chan struct{}), make(chan uint64, 1)
				var once sync.Once
				loaded.Instead(t, func(wait func()) {
					once.Do(func() { close(begun) })
					if waits {
						wait()
					}
					over <- h.count(left)
				})
				done := make(chan error, 1)
				go func() { done <- c.change(h, context.WithoutCancel(t.Context())) }()
				select {
				case <-begun:
				case err := <-done:
					h.letGo()
					t.Fatalf("it ended without a wait: %v", err)
				}
				if waits && c.name != "clean" { // which has locked the pins
					harness.MustRun(t, "xdp-loader", "clean")
				}
				if waits {
					select {
					case n := <-over:
						t.Errorf("it doesn't wait: %d packets have left the program", n)
						over <- n
					default:
					}
				} else if err := <-done; err != nil {
					t.Error(err)
				} else {
					h.waitForUnlink()
				}
				if passed := h.letGo(); passed != map[bool]int{true: 0, false: 1}[waits] {
					t.Errorf("%d packets got past the guard; waits for packets: %t", passed, waits)
				}
				if waits {
					if n := <-over; n != 1 {
						t.Error("the wait was over before the packet was")
					}
					if err := <-done; err != nil {
						t.Error(err)
					}
				}
				if _, err := dispatcher.Status(t.Context(), h.veth.Name); err != nil {
					t.Error(err)
				}
				if err := dispatcher.DetachAll(t.Context(), h.veth.Name, dispatcher.DetachOptions{}); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// killed makes a swap and ends as a process does that is killed just behind it.
func killed(h *held) {
	ended := make(chan struct{})
	t := h.T
	t.Run("killed", func(t *testing.T) {
		loaded.Instead(t, func(func()) { runtime.Goexit() })
		go func() {
			defer close(ended)
			if err := h.priority(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
			t.Error("it was not killed")
		}()
		<-ended
	})
}

// TestBatch: of a batch all wait at its end, and once. Only then the pins of the old chains go.
func TestBatch(t *testing.T) {
	harness.NoLeak(t)
	waits := 0
	loaded.Instead(t, func(wait func()) {
		waits++
		wait()
	})
	var batch dispatcher.Batch
	var pins []string
	for range 3 {
		v := harness.NewVeth(t)
		add := xdp.Program{File: fixture("flood"), Name: "guard"}
		done, err := batch.Commit(t.Context(), dispatcher.Transaction{Add: []xdp.Program{add}}, v.Name)
		if err != nil {
			t.Fatal(err)
		}
		pins = append(pins, fmt.Sprintf("/sys/fs/bpf/xdp/dispatch-%d-%d", v.Index, done.Chain.Dispatcher.ID))
		set := dispatcher.Setting{ID: done.Added[0].ID, Priority: xdp.Prio(11)}
		if _, err := batch.Commit(t.Context(), dispatcher.Transaction{Set: []dispatcher.Setting{set}}, v.Name); err != nil {
			t.Fatal(err)
		}
	}
	left := func() (n int) {
		for _, p := range pins {
			if _, err := os.Stat(p); err == nil {
				n++
			}
		}
		return n
	}
	if n := left(); waits != 0 || n != len(pins) {
		t.Errorf("before the end: %d waits, and %d of the old chains have their pins", waits, n)
	}
	batch.End()
	batch.End()
	if n := left(); waits != 1 || n != 0 {
		t.Errorf("after the end: %d waits, and %d of the old chains have their pins", waits, n)
	}
}
