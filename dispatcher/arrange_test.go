package dispatcher

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestCompareMembers goes through libxdp's order, each line before the next.
func TestCompareMembers(t *testing.T) {
	place := func(prio uint32, name string) member {
		return member{Loaded: Loaded{Name: name, Tag: "aa"}, layoutSlot: layoutSlot{Priority: prio}, loadTime: time.Second}
	}
	with := func(m member, change func(*member)) member { change(&m); return m }
	comes := func(insns int) func(*member) {
		return func(m *member) { m.comes, m.insns, m.Tag, m.loadTime = &opened{}, insns, "", 0 }
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
			all = append(all, member{Loaded: Loaded{ID: uint32(i + 1), Name: name}, layoutSlot: layoutSlot{Priority: uint32(10 * (i + 1)), Actions: *On(Pass)}})
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
		{name: "first to last", tx: Transaction{Set: []Setting{{ID: 1, Priority: Prio(99)}}}, want: "b c a"},
		{name: "last to first", tx: Transaction{Set: []Setting{{ID: 3, Priority: Prio(0)}}}, want: "c a b"},
		{name: "actions only", tx: Transaction{Set: []Setting{{ID: 3, Actions: On()}}}, want: "a b c"},
		{name: "unknown", tx: Transaction{Remove: []uint32{4}}, want: "program 4 is not loaded on eth0", kind: ErrNoProgram},
		{name: "zero", tx: Transaction{Set: []Setting{{ID: 0}}}, want: "program 0 is not loaded on eth0", kind: ErrNoProgram},
	} {
		t.Run(c.name, func(t *testing.T) {
			there := chain("a b c")
			got, err := (&commit{Transaction: c.tx}).arrange(link{Interface: Interface{Name: "eth0"}}, there)
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
			if !slices.EqualFunc(there, chain("a b c"), func(a, b member) bool { return a.Loaded == b.Loaded && a.layoutSlot == b.layoutSlot }) {
				t.Error("the chain that was given has changed")
			}
		})
	}
}
