package observe

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// busy is an interface of TestBusy. mix is sent to it again and again; stays are what the programs
// that stay make of each round.
type busy struct {
	v     *harness.Veth
	mix   [][]byte
	stays []observe.Verdicts
	swaps bool

	ids    []uint32
	joined uint32
	sender *sender
}

// Five interfaces are under load, and two of them share their programs. Two observers and a trace
// watch while both tools change the chains. At the end each number is what was sent, or what was
// sent less what is said to be missed.
func TestBusy(t *testing.T) {
	harness.NoLeak(t)
	pass, drop, tx := mixFrame(), mixFrame(xdp.Drop), mixFrame(xdp.TX)
	dropLater := mixFrame(xdp.Pass, xdp.Drop)
	of := func(p, d, x uint64) observe.Verdicts {
		return observe.Verdicts{xdp.Pass: p, xdp.Drop: d, xdp.TX: x}
	}
	all := []*busy{
		{mix: [][]byte{pass, drop, dropLater}, stays: []observe.Verdicts{of(2, 1, 0), of(1, 1, 0)}},
		{mix: [][]byte{drop, drop, pass, tx}, stays: []observe.Verdicts{of(1, 2, 1), of(1, 0, 0)}},
		{mix: [][]byte{pass, dropLater, tx, pass, drop}, stays: []observe.Verdicts{of(3, 1, 1), of(2, 1, 0)}, swaps: true},
		{mix: [][]byte{pass, drop}, stays: []observe.Verdicts{of(1, 1, 0)}, swaps: true}, // alone at first
		{mix: [][]byte{tx, dropLater, dropLater}, stays: []observe.Verdicts{of(2, 0, 1), of(0, 2, 0), of(0, 0, 0)}, swaps: true},
	}
	var names []string
	for i, b := range all {
		b.v = harness.NewVeth(t)
		names = append(names, b.v.Name)
		switch i {
		case 0:
		case 1:
			loadShared(t, []*harness.Veth{all[0].v, b.v}, "step0", "step1")
		default:
			stepsOn(t, b.v, len(b.stays))
		}
	}
	for _, b := range all {
		for _, p := range harness.Status(t, b.v.Name).Programs {
			b.ids = append(b.ids, p.ID)
		}
	}
	observers := []*observe.Observer{open(t, observe.Options{Latency: true}, names...), open(t, observe.Options{}, names...)}
	l := live(t, all[2].v, observe.LiveOptions{})
	told := uint64(0)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		for {
			if _, err := l.Next(ctx); err != nil {
				ended <- err
				return
			}
			told++
		}
	}()
	for _, b := range all {
		b.sender = send(t, b.v, time.Duration(harness.Scaled(1, 4))*time.Millisecond, b.mix...)
	}
	for swap := range harness.Scaled(50, 8) {
		b := all[2+swap%3]
		swapWith(t, b.v, swap/3, &b.joined)
		observers[swap%2].Read()
	}
	sent := map[*busy]uint64{}
	for _, b := range all {
		sent[b] = b.sender.finish(t)
	}
	for i, o := range observers {
		chains := o.Read().Chains
		for n, b := range all {
			b.check(t, chains[n], sent[b], i)
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
	packets := sent[all[2]] * uint64(len(all[2].mix))
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	told += uint64(len(next(t, l)))
	if told+l.Missed()+l.Lost() != packets {
		t.Errorf("the trace: %d told, %d missed, %d lost of %d", told, l.Missed(), l.Lost(), packets)
	}
	t.Logf("the trace: %d told, %d missed, %d lost of %d", told, l.Missed(), l.Lost(), packets)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// check compares what an observer says with what was sent, so many rounds of the mix.
func (b *busy) check(t *testing.T, c observe.Chain, rounds uint64, observer int) {
	t.Helper()
	packets := rounds * uint64(len(b.mix))
	d := c.Programs[0]
	if d.Blind != nil {
		t.Errorf("observer %d, %s: %v", observer, b.v.Name, d.Blind)
	}
	if d.Packets+d.Missed != packets || d.Verdicts.Sum() != d.Packets || !b.swaps && d.Missed != 0 {
		t.Errorf("observer %d, %s: %d packets and %d missed of %d", observer, b.v.Name, d.Packets, d.Missed, packets)
	}
	t.Logf("observer %d, %s: %d packets and %d missed", observer, b.v.Name, d.Packets, d.Missed)
	for i, each := range b.stays {
		var want observe.Verdicts
		for v := range want {
			want[v] = each[v] * rounds
		}
		if p := rowOf(t, c, b.ids[i]); p.Verdicts != want || p.Missed != 0 || p.HandedOn+p.Decided != p.Packets {
			t.Errorf("observer %d, %s: %s %+v, want %v", observer, b.v.Name, p.Name, p.Counts, want)
		}
	}
	if err := addUp(c.Programs); !b.swaps && err != nil {
		t.Errorf("observer %d, %s: %v", observer, b.v.Name, err)
	}
}
