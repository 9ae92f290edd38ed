package observe

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// Who decided a packet, and who handed it on, means the same in stats, in both kinds of
// trace and in the metrics: for the last program of a chain too, after which the
// dispatcher itself may decide.
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
	l := live(t, v, observe.Filter{})
	defer l.Close()
	cmd := exec.Command(xdpmux, "stats", v.Name, "--listen", ":0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(stderr).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
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
	for _, line := range next(t, l, 200*time.Millisecond) {
		got[strings.TrimSuffix(strings.Fields(line)[2], ",")]++
	}
	same("trace --live", got)

	reply, err := http.Get(regexp.MustCompile(`http://\S+/metrics`).FindString(said))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(reply.Body)
	reply.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if err != nil {
		t.Fatal(err)
	}
	got = map[string]int{"dispatcher": len(frames)}
	for _, m := range regexp.MustCompile(`decided_packets_total\{.*program="(\w+)"\} (\d+)`).FindAllStringSubmatch(string(body), -1) {
		var n int
		fmt.Sscan(m[2], &n)
		got[m[1]] = n
		got["dispatcher"] -= n
	}
	same("metrics", got)
	if err := cmd.Process.Signal(exitSignal); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}

	lines := strings.Split(strings.TrimSpace(harness.MustRun(t, xdpmux, "trace", v.Name, "--json", "--pcap", writePcap(t, layers.LinkTypeEthernet, frames...))), "\n")
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
