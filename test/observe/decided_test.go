package observe

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// stats, both kinds of trace and the metrics agree on who decided a packet, and who handed it on.
// They do so for the last program of a chain too, after which the dispatcher itself may decide.
func TestDecided(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	attach(t, v, step(0, xdp.Pass), step(1, xdp.Pass, xdp.TX))
	frames := [][]byte{
		mixFrame(xdp.Drop), mixFrame(xdp.Drop), mixFrame(xdp.Drop), // by step0
		mixFrame(xdp.Pass, xdp.Drop), mixFrame(xdp.Pass, xdp.Pass), // by step1
		mixFrame(xdp.Pass, xdp.TX), // step1 hands it on, to the dispatcher's XDP_PASS
	}
	want := map[string]int{"step0": 3, "step1": 2, "dispatcher": 1}
	handedOn := map[string]uint64{"step0": 3, "step1": 1}
	same := func(what string, got map[string]int) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: decided %v, want %v", what, got, want)
		}
	}

	o := open(t, observe.Options{}, v.Name)
	defer o.Close()
	l := live(t, v, observe.LiveOptions{})
	defer l.Close()
	p, url := serve(t, v.Name, "--listen", ":0")
	v.Deliver(t, frames...)

	programs := o.Read().Chains[0].Programs
	got := map[string]int{"dispatcher": int(programs[0].Packets)}
	for _, p := range programs[1:] {
		got[p.Name] = int(p.Decided)
		got["dispatcher"] -= int(p.Decided)
		if p.HandedOn != handedOn[p.Name] {
			t.Errorf("stats: %s handed on %d, want %d", p.Name, p.HandedOn, handedOn[p.Name])
		}
	}
	same("stats", got)

	got = map[string]int{}
	for _, line := range next(t, l) {
		got[strings.TrimSuffix(strings.Fields(line)[2], ",")]++
	}
	same("trace --live", got)

	got = map[string]int{"dispatcher": len(frames)}
	for _, m := range regexp.MustCompile(`decided_packets_total\{.*program="(\w+)"\} (\d+)`).FindAllStringSubmatch(harness.Get(t, url), -1) {
		var n int
		fmt.Sscan(m[2], &n)
		got[m[1]] = n
		got["dispatcher"] -= n
	}
	same("metrics", got)
	p.Stop(t, exitSignal)

	lines := strings.Split(strings.TrimSpace(harness.MustRun(t, xdpmux, "trace", v.Name, "--json", "--pcap", harness.WritePcap(t, layers.LinkTypeEthernet, frames...))), "\n")
	var last struct {
		Totals struct {
			Programs []struct {
				Name    string
				Decided int
			}
			Chain struct{ Decided int }
		}
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatal(err)
	}
	got = map[string]int{"dispatcher": last.Totals.Chain.Decided}
	for _, total := range last.Totals.Programs {
		got[total.Name] = total.Decided
	}
	same("trace --pcap", got)
}
