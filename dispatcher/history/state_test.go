package history

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// TestState: what is read of a line is what the record has, whatever was read before.
func TestState(t *testing.T) {
	mode, login := xdp.ModeNative, 1000
	program := func(id uint32) Program {
		return Program{dispatcher.Component{Loaded: xdp.Loaded{ID: id, Name: "xdp_pass", Tag: "3b185187f1855c4c"}, Priority: 50, Actions: 1 << 2},
			Source{File: `/a,"after":{"dispatcher":9,"programs":[]},"saved":[]}.o`, SHA256: "b797", Settings: "4413"}}
	}
	lone := func(id uint32) *Lone { return &Lone{xdp.Loaded{ID: id}, Source{SHA256: "b797"}} }
	chains := []*Chain{
		nil,
		{},
		{Programs: []Program{}},
		{Mode: &mode, Version: 2, Dispatcher: 5, Programs: []Program{program(8), program(10)}},
		{Mode: &mode, Version: 2, Dispatcher: 14, Programs: []Program{program(8), program(10)}},
		{Mode: &mode, Version: 1, Dispatcher: 14, Programs: []Program{program(10), program(8)}},
		{Mode: &mode, Version: 2, Dispatcher: 14, Programs: []Program{program(8), program(10)}, Hardware: lone(3)},
		{Mode: &mode, Programs: []Program{}, Legacy: lone(3), Hardware: lone(4)},
	}
	words := `"outcome":"failed","interface":{"index":9},"netns":9,"boot":"x","after":{"programs":[]},"saved":[]<&>` + "\xff\n"
	var s states
	for _, outcome := range []Outcome{Done, Failed, UnderWay, void} {
		for i, before := range chains {
			for j, after := range chains {
				r := &Record{Number: i + 1, Time: time.Unix(1e9, 5).UTC(), Outcome: outcome, Interface: xdp.Interface{Name: `e"0`, Index: 7}, Netns: 1, Boot: "b", Before: before, After: after}
				if i%2 == 0 {
					r.NetnsCookie, r.Error, r.Why, r.Command = 9, words, words, []string{words, words}
					r.User, r.Process, r.Saved = &User{UID: 1, LoginUID: &login}, &Process{2, 3}, []Saved{{8, "abcd"}}
				}
				text, err := appendLine(nil, 3, r)
				if err != nil {
					t.Fatal(err)
				}
				l := line(text[:len(text)-1])
				want := l.record()
				if want == nil {
					t.Fatalf("damaged: %s", l)
				}
				if outcome != UnderWay { // of which all counts
					want = &Record{Number: want.Number, Outcome: want.Outcome, Interface: xdp.Interface{Index: want.Interface.Index},
						Boot: want.Boot, Netns: want.Netns, NetnsCookie: want.NetnsCookie, After: want.After}
				}
				// The chain before was another, or the same one.
				for again := range 2 {
					if got := s.state(l); !reflect.DeepEqual(got, want) {
						t.Fatalf("%v: %+v\nis not\n%+v\nof %s", fmt.Sprint(i, j, again), got, want, l)
					}
				}
				for _, damaged := range []line{l[:len(l)-1], append(line{l[0] ^ 1}, l[1:]...)} {
					if s.state(damaged) != nil {
						t.Fatalf("it reads %s", damaged)
					}
				}
			}
		}
	}
}
