package dispatcher

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// running is the slot of a program that runs.
func running(p xdp.Loaded, prio uint32) protocol.Slot {
	return protocol.Slot{
		Program:    loaded.Program{Loaded: p, LoadTime: time.Second},
		SlotConfig: protocol.SlotConfig{Priority: prio, Actions: *xdp.On(xdp.Pass)},
	}
}

// TestCompareSlots goes through libxdp's order, each line before the next.
func TestCompareSlots(t *testing.T) {
	place := func(prio uint32, name string) slot {
		return slot{Slot: running(xdp.Loaded{Name: name, Tag: "aa"}, prio)}
	}
	with := func(m slot, change func(*slot)) slot { change(&m); return m }
	comes := func(insns int) func(*slot) {
		return func(m *slot) { m.comes, m.Tag, m.LoadTime = &object.Program{Insns: insns}, "", 0 }
	}
	order := []slot{
		place(0, "z"),
		place(1, "a"),
		place(1, "b"),
		with(place(1, "b"), func(m *slot) { m.LoadTime++ }),
		with(place(1, "b"), func(m *slot) { m.Tag = "ab"; m.LoadTime = 0 }),
		with(place(1, "b"), comes(2)),
		with(place(1, "b"), comes(3)),
		with(place(1, "c"), comes(1)),
		place(1<<32-1, "a"),
	}
	for i, a := range order {
		for j, b := range order {
			got := compareSlots(a, b)
			if want := map[bool]int{true: -1}[i < j] + map[bool]int{true: 1}[i > j]; got != want {
				t.Errorf("compare %d with %d: %d, want %d", i, j, got, want)
			}
		}
	}
}

func TestArrange(t *testing.T) {
	chain := func(text string) (all []slot) {
		for i, name := range strings.Fields(text) {
			all = append(all, slot{Slot: running(xdp.Loaded{ID: uint32(i + 1), Name: name}, uint32(10*(i+1)))})
		}
		return all
	}
	for _, c := range []struct {
		name string
		tx   Transaction
		want string // or the text of an error
		kind error
	}{
		{name: "nothing", want: "a b c"},
		{name: "remove", tx: Transaction{Remove: []uint32{2}}, want: "a c"},
		{name: "remove all", tx: Transaction{Remove: []uint32{3, 1, 2}}, want: ""},
		{name: "first to last", tx: Transaction{Set: []Setting{{ID: 1, Priority: xdp.Prio(99)}}}, want: "b c a"},
		{name: "last to first", tx: Transaction{Set: []Setting{{ID: 3, Priority: xdp.Prio(0)}}}, want: "c a b"},
		{name: "actions only", tx: Transaction{Set: []Setting{{ID: 3, Actions: xdp.On()}}}, want: "a b c"},
		{name: "unknown", tx: Transaction{Remove: []uint32{4}}, want: "program 4 is not loaded on eth0", kind: xdp.ErrNoProgram},
		{name: "zero", tx: Transaction{Set: []Setting{{ID: 0}}}, want: "program 0 is not loaded on eth0", kind: xdp.ErrNoProgram},
	} {
		t.Run(c.name, func(t *testing.T) {
			there := chain("a b c")
			got, err := c.tx.arrange(device.Device{Interface: xdp.Interface{Name: "eth0"}}, there, nil, nil, nil, nil)
			if c.kind != nil {
				if !errors.Is(err, c.kind) || err.Error() != c.want {
					t.Errorf("error: %v, want %s", err, c.want)
				}
				return
			}
			var names []string
			for _, m := range got {
				names = append(names, m.Name)
			}
			if err != nil || strings.Join(names, " ") != c.want {
				t.Errorf("%q, %v, want %q", names, err, c.want)
			}
			if !slices.EqualFunc(there, chain("a b c"), func(a, b slot) bool { return a.Loaded == b.Loaded && a.SlotConfig == b.SlotConfig }) {
				t.Error("the chain that was given has changed")
			}
		})
	}
}
