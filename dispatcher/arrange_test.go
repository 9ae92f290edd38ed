package dispatcher

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// TestCompareMembers goes through libxdp's order, each line before the next.
func TestCompareMembers(t *testing.T) {
	place := func(prio uint32, name string) member {
		return member{Loaded: xdp.Loaded{Name: name, Tag: "aa"}, SlotConfig: protocol.SlotConfig{Priority: prio}, loadTime: time.Second}
	}
	with := func(m member, change func(*member)) member { change(&m); return m }
	comes := func(insns int) func(*member) {
		return func(m *member) { m.comes, m.insns, m.Tag, m.loadTime = &object.Program{}, insns, "", 0 }
	}
	order := []member{
		place(0, "z"),
		place(1, "a"),
		place(1, "b"),
		with(place(1, "b"), func(m *member) { m.loadTime++ }),
		with(place(1, "b"), func(m *member) { m.Tag = "ab"; m.loadTime = 0 }),
		with(place(1, "b"), comes(2)),
		with(place(1, "b"), comes(3)),
		with(place(1, "c"), comes(1)),
		place(1<<32-1, "a"),
	}
	for i, a := range order {
		for j, b := range order {
			got := compareMembers(a, b)
			if want := map[bool]int{true: -1}[i < j] + map[bool]int{true: 1}[i > j]; got != want {
				t.Errorf("compare %d with %d: %d, want %d", i, j, got, want)
			}
		}
	}
}

func TestArrange(t *testing.T) {
	chain := func(text string) (all []member) {
		for i, name := range strings.Fields(text) {
			all = append(all, member{Loaded: xdp.Loaded{ID: uint32(i + 1), Name: name}, SlotConfig: protocol.SlotConfig{Priority: uint32(10 * (i + 1)), Actions: *xdp.On(xdp.Pass)}})
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
			got, err := (&commit{Transaction: c.tx}).arrange(device.Device{Interface: xdp.Interface{Name: "eth0"}}, there)
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
			if !slices.EqualFunc(there, chain("a b c"), func(a, b member) bool { return a.Loaded == b.Loaded && a.SlotConfig == b.SlotConfig }) {
				t.Error("the chain that was given has changed")
			}
		})
	}
}
