package observe

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// swapWith changes the chain on v with one tool or the other: a program joins or leaves.
func swapWith(t testing.TB, v *harness.Veth, tool int, joined *uint32) {
	t.Helper()
	if *joined == 0 {
		before := map[uint32]bool{}
		for _, p := range harness.Status(t, v.Name).Programs {
			before[p.ID] = true
		}
		command := []string{xdpmux, "xdp-loader"}[tool/2%2]
		harness.MustRun(t, command, "load", v.Name, samples+"xdp_count.o")
		for _, p := range harness.Status(t, v.Name).Programs {
			if !before[p.ID] {
				*joined = p.ID
			}
		}
		return
	}
	harness.MustRun(t, []string{"xdp-loader", xdpmux}[tool/2%2], "unload", v.Name, "-i", fmt.Sprint(*joined))
	*joined = 0
}

// Whatever the chain's counter loses by swaps, it says to be missed. The counter of a program that
// stays loses nothing.
func TestSwapsAddUp(t *testing.T) {
	for _, stay := range []int{1, 2} {
		t.Run(fmt.Sprint(stay), func(t *testing.T) { testSwapsAddUp(t, stay) })
	}
}

func testSwapsAddUp(t *testing.T, stay int) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	var programs []xdp.Program
	for i := range stay {
		programs = append(programs, step(i, xdp.Pass))
	}
	stays := attach(t, v, programs...)
	o := open(t, observe.Options{}, v.Name)
	defer o.Close()
	s := send(t, v, time.Millisecond, mixFrame(), mixFrame(xdp.Drop), mixFrame(xdp.TX), mixFrame())
	var joined uint32
	for tool := range 8 {
		swapWith(t, v, tool, &joined)
		s.sent.rise(t.Context(), 40)
	}
	n := s.finish(t)
	c := o.Read().Chains[0]
	d := c.Programs[0]
	if d.Packets+d.Missed != 4*n || d.Packets == 0 || d.Blind != nil {
		t.Errorf("the chain: %d packets and %d missed, %d were sent", d.Packets, d.Missed, 4*n)
	}
	if want := (observe.Verdicts{xdp.Drop: n, xdp.Pass: 2 * n, xdp.TX: n}); rowOf(t, c, stays[0].ID).Verdicts != want {
		t.Errorf("the program that stays: %+v, want %v", rowOf(t, c, stays[0].ID).Counts, want)
	}
	t.Logf("figure: of %d packets %d were missed in 8 swaps", 4*n, d.Missed)
	for _, p := range c.Programs {
		if p.Blind != nil || p.Packets+p.Missed > 4*n+d.Missed {
			t.Errorf("%s: %+v, %v", p.Name, p.Counts, p.Blind)
		}
	}
}

// All programs of a chain count the same packets from the first one on, though packets
// come while the probes are attached.
func TestBeginsEven(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 5)
	s := send(t, v, time.Millisecond, mixFrame(), mixFrame(xdp.Drop), mixFrame(xdp.Pass, xdp.TX), mixFrame())
	for range harness.Scaled(30, 5) {
		o := open(t, observe.Options{}, v.Name)
		defer o.Close()
		defer func() {
			programs := o.Read().Chains[0].Programs
			if err := addUp(programs); err != nil {
				t.Error(err)
			}
		}()
	}
	s.finish(t)
}

// addUp says whether each program got what the one before handed on, and the chain what
// they decided.
func addUp(programs []observe.Program) error {
	in, decided := programs[0].Packets, uint64(0)
	for _, p := range programs[1:] {
		if p.Packets != in {
			return fmt.Errorf("%s got %d packets, and the one before handed on %d: %+v", p.Name, p.Packets, in, programs)
		}
		in, decided = p.HandedOn, decided+p.Decided
	}
	if decided+in != programs[0].Packets {
		return fmt.Errorf("the programs decided %d packets and the last handed on %d of %d", decided, in, programs[0].Packets)
	}
	return nil
}

// Each line of a trace is of one packet, and of the chain that it went through, though
// packets come while probes are attached and others change the chain.
func TestTraceUnderSwaps(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stays := attach(t, v, step(0, xdp.Pass))
	mix := [][]byte{mixFrame(), mixFrame(xdp.Drop), mixFrame(xdp.TX), mixFrame(xdp.Pass, xdp.Drop), mixFrame(xdp.Pass, xdp.TX)}
	s := send(t, v, 2*time.Millisecond, mix...)
	l := live(t, v, observe.LiveOptions{})
	defer l.Close()

	ctx, cancel := context.WithCancel(context.Background())
	were := history{done: make(chan error, 1)}
	go were.change(ctx, v)
	chains := map[string]int{}
	type line struct {
		at   time.Time
		pass bool
		both bool
	}
	var lines []line
	for n := range harness.Scaled(10_000, 2000) {
		trace, err := l.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		verdicts := []xdp.Verdict{xdp.Verdict(trace.Data[0]), xdp.Verdict(trace.Data[1])}
		// What these packets meet in a chain of both programs, and of the first alone.
		want := fmt.Sprintf("[step0 %v] => %v by step0", verdicts[0], verdicts[0])
		both := want
		if verdicts[0] == xdp.Pass {
			both = fmt.Sprintf("[step0 %v step1 %v] => %v by step1", verdicts[0], verdicts[1], verdicts[1])
		}
		var met []string
		for _, s := range trace.Steps {
			met = append(met, fmt.Sprint(s.Name, " ", s.Verdict))
		}
		by := "the dispatcher"
		if trace.DecidedBy != nil {
			by = trace.DecidedBy.Name
		}
		got := fmt.Sprintf("%v => %v by %s", met, trace.Verdict, by)
		if got != want && got != both {
			t.Fatalf("line %d: got %s, want %s or %s", n, got, want, both)
		}
		chains[got]++
		were.lines.add()
		if n > 0 && trace.Time.Before(lines[n-1].at) {
			t.Errorf("line %d is of %v, and the one before of %v", n, trace.Time, lines[n-1].at)
		}
		lines = append(lines, line{trace.Time, verdicts[0] == xdp.Pass, len(trace.Steps) == 2})
		if trace.Steps[0].ID != stays[0].ID {
			t.Fatalf("line %d: step0 is program %d", n, trace.Steps[0].ID)
		}
	}
	cancel()
	if err := <-were.done; err != nil {
		t.Fatal(err)
	}
	sure := 0
	for n, l := range lines {
		if programs := were.at(l.at); l.pass && programs != 0 {
			if sure++; l.both != (programs == 2) {
				t.Errorf("line %d, at %v: of a chain of %d programs, yet both ran: %v", n, l.at, programs, l.both)
			}
		}
	}
	if len(chains) != 6 || sure < len(lines)/10 {
		t.Errorf("%d sure lines of %d, and these chains: %v", sure, len(lines), chains)
	}
	t.Logf("%v, %d sure, missed %d, lost %d", chains, sure, l.Missed(), l.Lost())
	s.finish(t)
}

// history is when a chain had one program, and when it had two.
type history struct {
	lines tally // of the trace
	spans []span
	done  chan error
}

type span struct {
	from, to time.Time
	programs int
}

// change has step1 join the chain and leave it until ctx ends.
func (h *history) change(ctx context.Context, v *harness.Veth) {
	from := time.Now()
	var id uint32
	for i := 1; ; i = 3 - i {
		h.lines.rise(ctx, 100)
		h.spans = append(h.spans, span{from, time.Now(), i})
		if ctx.Err() != nil {
			h.done <- nil
			return
		}
		var err error
		if i == 1 {
			var a *dispatcher.Attachment
			if a, err = dispatcher.Attach(context.Background(), v.Name, []xdp.Program{step(1, xdp.Pass)}, dispatcher.AttachOptions{RequireDispatcher: true}); err == nil {
				id = a.Programs[0].ID
			}
		} else {
			err = dispatcher.Detach(context.Background(), v.Name, id, dispatcher.DetachOptions{})
		}
		if err != nil {
			h.done <- err
			return
		}
		from = time.Now()
	}
}

// at is how many programs the chain had at that time, 0 if it was being changed.
func (h *history) at(t time.Time) int {
	const clocks = 5 * time.Millisecond // they may differ by so much
	for _, s := range h.spans {
		if t.After(s.from.Add(clocks)) && t.Before(s.to.Add(-clocks)) {
			return s.programs
		}
	}
	return 0
}
