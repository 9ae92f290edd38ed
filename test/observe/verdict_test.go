package observe

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// anyVerdict is a program that returns what a packet says, however large.
var anyVerdict = xdp.Program{File: steps, Name: "any", Priority: xdp.Prio(1), Actions: xdp.On(xdp.Pass)}

// stats and trace tell what the dispatcher makes of numbers that are no verdicts, as the table in
// docs/observe.md has it. The next program's own count shows whether it ran, and the test run
// shows what the chain returned.
func TestOddVerdicts(t *testing.T) {
	const minusOne = xdp.Verdict(1<<32 - 1)
	cases := []odd{{5, false}, {7, false}, {31, true}, {34, false}, {63, false}, {66, true}, {95, true}, {255, false}, {minusOne, false}}
	for _, last := range []bool{false, true} {
		t.Run(fmt.Sprint("last ", last), func(t *testing.T) { testOddVerdicts(t, cases, last) })
	}
	t.Run("alone", func(t *testing.T) {
		harness.NoLeak(t)
		v := harness.NewVeth(t)
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

func oddPacket(v xdp.Verdict) []byte {
	p := packet()
	binary.NativeEndian.PutUint32(p[16:], uint32(v))
	return p
}

// odd is a number that is no verdict, and whether the dispatcher goes on after it.
type odd struct {
	verdict  xdp.Verdict
	handedOn bool
}

func testOddVerdicts(t *testing.T, cases []odd, last bool) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	other := step(1, xdp.Pass)
	if last {
		other.Priority = xdp.Prio(0)
	}
	attach(t, v, anyVerdict, other)
	o := open(t, observe.Options{}, v.Name)
	defer o.Close()
	l := live(t, v, observe.LiveOptions{})
	defer l.Close()
	d := dispatcherOf(t, v)
	const n = 3
	var chain, of, behind observe.Counts // what is expected of the chain, of any, and of the other
	var lines []string
	for _, c := range cases {
		want, by := c.verdict, "any"
		if c.handedOn {
			want = xdp.Pass // of the program behind it, or of the dispatcher
			by = map[bool]string{true: "dispatcher", false: "step1"}[last]
		}
		if got := xdp.Verdict(testRun(t, v, d, oddPacket(c.verdict), n).Return); got != want {
			t.Fatalf("%d: the chain returned %v, want %v", int32(c.verdict), got, want)
		}
		chain.Verdicts[min(int(want), observe.Other)] += n
		chain.Packets, chain.Decided, chain.Final = chain.Packets+n, chain.Decided+n, chain.Verdicts
		of.Packets, of.Verdicts[observe.Other] = of.Packets+n, of.Verdicts[observe.Other]+n
		if c.handedOn {
			of.HandedOn += n
		} else {
			of.Decided += n
			of.Final[observe.Other] += n
		}
		switch {
		case last: // the other runs first
			behind.Packets, behind.Verdicts[xdp.Pass], behind.HandedOn = behind.Packets+n, behind.Verdicts[xdp.Pass]+n, behind.HandedOn+n
		case c.handedOn:
			behind.Packets, behind.Verdicts[xdp.Pass], behind.Decided = behind.Packets+n, behind.Verdicts[xdp.Pass]+n, behind.Decided+n
			behind.Final[xdp.Pass] += n
		}
		for _, p := range o.Read().Chains[0].Programs {
			if expected := map[string]observe.Counts{"xdp_dispatcher": chain, "any": of, "step1": behind}[p.Name]; p.Counts != expected {
				t.Errorf("after %d: %s %+v, want %+v", int32(c.verdict), p.Name, p.Counts, expected)
			}
		}
		for range n {
			lines = append(lines, fmt.Sprintf("%v by %s, 64 of 64 bytes", want, by))
		}
	}
	if got := next(t, l); fmt.Sprint(got) != fmt.Sprint(lines) {
		t.Errorf("traced %q, want %q", got, lines)
	}
}
