package observe

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/test/kernel"
)

// anyVerdict is a program that returns what a packet says, however large.
var anyVerdict = dispatcher.Program{File: steps, Name: "any", Priority: dispatcher.Prio(1), Actions: dispatcher.On(dispatcher.Pass)}

// What the dispatcher makes of numbers that are no verdicts is told as it is: the table
// in docs/observe.md. Whether the next program ran is known from its own count, and what
// the chain returned from the test run.
func TestOddVerdicts(t *testing.T) {
	const minusOne = dispatcher.Verdict(1<<32 - 1)
	for _, c := range []struct {
		verdict  dispatcher.Verdict
		handedOn bool
	}{
		{5, false}, {7, false}, {31, true}, {34, false}, {63, false}, {66, true}, {95, true}, {255, false}, {minusOne, false},
	} {
		for _, last := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, last %v", int32(c.verdict), last), func(t *testing.T) {
				testOddVerdict(t, c.verdict, c.handedOn, last)
			})
		}
	}
	t.Run("alone", func(t *testing.T) {
		kernel.NoLeak(t)
		v := kernel.NewVeth(t)
		attach(t, v, anyVerdict)
		o := open(t, observe.Options{}, v.Name)
		defer o.Close()
		testRun(t, v, dispatcherOf(t, v), oddPacket(31), 3)
		for _, p := range o.Read().Chains[0].Programs {
			if p.Verdicts[observe.Other] != 3 || p.Decided != 3 || p.HandedOn != 0 {
				t.Errorf("%s: %+v", p.Name, p.Counts)
			}
		}
	})
}

func oddPacket(v dispatcher.Verdict) []byte {
	p := packet()
	binary.NativeEndian.PutUint32(p[16:], uint32(v))
	return p
}

func testOddVerdict(t *testing.T, verdict dispatcher.Verdict, handedOn, last bool) {
	kernel.NoLeak(t)
	v := kernel.NewVeth(t)
	other := step(1, dispatcher.Pass)
	if last {
		other.Priority = dispatcher.Prio(0)
	}
	attach(t, v, anyVerdict, other)
	o := open(t, observe.Options{}, v.Name)
	defer o.Close()
	l := live(t, v, observe.Filter{})
	defer l.Close()
	const n = 3
	got := dispatcher.Verdict(testRun(t, v, dispatcherOf(t, v), oddPacket(verdict), n).Return)
	want := verdict
	if handedOn {
		want = dispatcher.Pass // of the program behind it, or of the dispatcher
	}
	if got != want {
		t.Fatalf("the chain returned %v, want %v", got, want)
	}
	programs := o.Read().Chains[0].Programs
	if p := programs[0]; p.Packets != n || p.Verdicts[min(int(want), observe.Other)] != n {
		t.Errorf("the chain: %+v", p.Counts)
	}
	for _, p := range programs[1:] {
		var counts observe.Counts
		switch {
		case p.Name == "any":
			counts = observe.Counts{Packets: n, Verdicts: observe.Verdicts{observe.Other: n}, Decided: n}
			if handedOn {
				counts.HandedOn, counts.Decided = n, 0
			}
		case last: // it runs first
			counts = observe.Counts{Packets: n, Verdicts: observe.Verdicts{dispatcher.Pass: n}, HandedOn: n}
		case handedOn:
			counts = observe.Counts{Packets: n, Verdicts: observe.Verdicts{dispatcher.Pass: n}, Decided: n}
		}
		if p.Counts != counts {
			t.Errorf("%s: %+v, want %+v", p.Name, p.Counts, counts)
		}
	}
	by := "any"
	if handedOn {
		by = map[bool]string{true: "dispatcher", false: "step1"}[last]
	}
	line := fmt.Sprintf("%v by %s, 64 of 64 bytes", want, by)
	if lines := next(t, l, 200*time.Millisecond); fmt.Sprint(lines) != fmt.Sprint([]string{line, line, line}) {
		t.Errorf("traced %q, want %q", lines, line)
	}
}
