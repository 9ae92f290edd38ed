package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

func live(t *testing.T, v *harness.Veth, filter observe.LiveOptions) *observe.Live {
	t.Helper()
	l, err := observe.OpenLive(context.Background(), []string{v.Name}, filter)
	if err != nil {
		t.Fatalf("live: %v (%s)", err, dispatcher.VerifierLog(err))
	}
	return l
}

// next returns the verdicts of packets that were delivered already: those that come until
// none does for a while.
func next(t *testing.T, l *observe.Live) (got []string) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		trace, err := l.Next(ctx)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		by := "dispatcher"
		if trace.DecidedBy != nil {
			by = trace.DecidedBy.Name
		}
		got = append(got, fmt.Sprintf("%v by %s, %d of %d bytes", trace.Verdict, by, len(trace.Data), trace.Length))
	}
}

func TestLive(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	chainOfFive(t, v)
	frames := [][]byte{
		harness.UDP4(flow), // 42 bytes, passes
		harness.UDP6(flow), // 62 bytes, dropped by xdp_drop_ipv6
		harness.UDP4(harness.Flow{DstMAC: to(xdp.Drop, xdp.Pass), PayloadLen: 10}),   // 52 bytes
		harness.UDP4(harness.Flow{DstMAC: to(xdp.Pass, xdp.Drop), PayloadLen: 1000}), // 1042 bytes
	}
	const (
		passed = "XDP_PASS by edit, 42 of 42 bytes"
		ipv6   = "XDP_DROP by xdp_drop_ipv6, 62 of 62 bytes"
		first  = "XDP_DROP by step0, 52 of 52 bytes"
		second = "XDP_DROP by step1, 1042 of 1042 bytes"
	)
	for _, c := range []struct {
		name   string
		filter observe.LiveOptions
		want   []string
	}{
		{"all", observe.LiveOptions{}, []string{passed, ipv6, first, second}},
		{"drops", observe.LiveOptions{Verdicts: []int{int(xdp.Drop)}}, []string{ipv6, first, second}},
		{"a program", observe.LiveOptions{Program: "step1"}, []string{second}},
		{"a program's drops", observe.LiveOptions{Program: "edit", Verdicts: []int{int(xdp.Drop)}}, nil},
	} {
		l := live(t, v, c.filter)
		v.Deliver(t, frames...)
		if got := next(t, l); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", c.name, got, c.want)
		}
		if l.Lost() != 0 {
			t.Errorf("%s: lost %d", c.name, l.Lost())
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Of 3,200 packets one in eight is 400; six standard deviations are 112.
func TestLiveSample(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 1)
	l := live(t, v, observe.LiveOptions{OneIn: 8})
	defer l.Close()
	frames := make([][]byte, 3200)
	for i := range frames {
		frames[i] = harness.UDP4(harness.Flow{})
	}
	v.Deliver(t, frames...)
	if got := len(next(t, l)); got < 400-112 || got > 400+112 {
		t.Errorf("%d of 3200 packets", got)
	}
}

// More events than the ring holds are counted as lost, none is forgotten.
func TestLiveLost(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 1)
	l := live(t, v, observe.LiveOptions{})
	defer l.Close()
	big := make([]byte, 3000)
	copy(big, packet())
	const n = 10_000 // of 3 kB each, in 4 MB
	testRun(t, v, dispatcherOf(t, v), big, n)
	got := uint64(len(next(t, l)))
	if lost := l.Lost(); lost == 0 || got == 0 || got+lost != n {
		t.Errorf("%d shown and %d lost of %d", got, lost, n)
	}
}

// The chain is followed while a native tool changes it.
func TestLiveFollows(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 1)
	out := filepath.Join(t.TempDir(), "live.pcapng")
	harness.MustRun(t, xdpmux, "load", v.Name, samples+"xdp_drop_ipv6.o")
	p := harness.Start(t, xdpmux, "trace", v.Name, "--live", "--name", "xdp_drop_ipv6", "--verdict", "XDP_DROP", "--print", "--write", out)
	line := func() string {
		t.Helper()
		return p.Stdout.LineWhile(t, 20*time.Millisecond, func() { v.Deliver(t, harness.UDP6(flow)) })
	}
	if first := line(); first != "1  IPv6 UDP "+c6+", 62 bytes: step0 XDP_PASS, xdp_drop_ipv6 XDP_DROP => XDP_DROP by xdp_drop_ipv6" {
		t.Errorf("got %s", first)
	}
	harness.MustRun(t, "xdp-loader", "load", v.Name, samples+"xdp_count.o")
	for !strings.Contains(line(), "step0 XDP_PASS, xdp_count XDP_PASS, xdp_drop_ipv6 XDP_DROP") {
	}
	p.Stop(t, exitSignal)
	if n := len(harness.ReadPcapng(t, out)); n < 2 {
		t.Errorf("%d packets in the file", n)
	}
}

func TestPrometheus(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 2)
	scrape := harness.MustRun(t, xdpmux, "stats", v.Name, "--prometheus", "--latency", "--interval", "10ms")
	lint(t, scrape)

	p, url := serve(t, v.Name, "--listen", ":0")
	if !regexp.MustCompile(`^http://127\.0\.0\.1:\d+/metrics$`).MatchString(url) { // no host means loopback
		t.Fatalf("it serves %s", url)
	}
	testRun(t, v, dispatcherOf(t, v), packet(xdp.Pass, xdp.Drop), 1000)
	body := harness.Get(t, url)
	lint(t, body)
	for _, want := range []string{
		`xdpmux_chain_packets_total\{interface="` + v.Name + `",verdict="XDP_DROP"\} 1000`,
		`xdpmux_program_packets_total\{id="\d+",interface="` + v.Name + `",priority="1",program="step0",verdict="XDP_PASS"\} 1000`,
		`xdpmux_program_decided_packets_total\{id="\d+",interface="` + v.Name + `",priority="2",program="step1"\} 1000`,
		`xdpmux_program_handed_on_packets_total\{id="\d+",interface="` + v.Name + `",priority="1",program="step0"\} 1000`,
	} {
		if !regexp.MustCompile(want).MatchString(body) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	// The port is in use now.
	address := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/metrics")
	if _, stderr, status := harness.Run(t, xdpmux, "stats", v.Name, "--listen", address); status != 1 || !strings.Contains(stderr, "can't listen on "+address+": bind: address already in use") {
		t.Errorf("exit status %d: %s", status, stderr)
	}
	p.Stop(t, exitSignal)
}

// serve starts stats --listen and returns when it serves, and where the metrics are.
func serve(t *testing.T, args ...string) (p *harness.Process, url string) {
	t.Helper()
	p = harness.Start(t, xdpmux, append([]string{"stats"}, args...)...)
	line := p.Stderr.Line(t)
	url, ok := strings.CutPrefix(line, "xdpmux: serving ")
	url, ok2 := strings.CutSuffix(url, " and /metrics")
	if !ok || !ok2 {
		t.Fatalf("it says %s", line)
	}
	return p, url + "metrics"
}

// lint is what promtool check metrics does.
func lint(t *testing.T, scrape string) {
	t.Helper()
	problems, err := promlint.New(strings.NewReader(scrape)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v in\n%s", err, problems, scrape)
	}
	if !strings.Contains(scrape, "xdpmux_program_packets_total") {
		t.Errorf("no counts in\n%s", scrape)
	}
}

// The rates of stats --json, each over its time, make up the packets.
func TestStatsRates(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 2)
	d := dispatcherOf(t, v)
	p := harness.Start(t, xdpmux, "stats", v.Name, "--json", "--interval", "500ms")
	type report struct {
		Seconds float64
		Chains  []struct {
			Programs []struct {
				Packets   uint64
				PerSecond float64 `json:"packets_per_second"`
			}
		}
	}
	read := func() (r report) {
		t.Helper()
		if err := json.Unmarshal([]byte(p.Stdout.Line(t)), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	read() // it counts
	testRun(t, v, d, packet(), 1000)
	var packets uint64
	var sum float64
	harness.Eventually(func() bool { // the report of before may have been on its way
		r := read()
		step1 := r.Chains[0].Programs[1]
		packets = step1.Packets
		sum += step1.PerSecond * r.Seconds
		return packets > 0
	})
	p.Stop(t, exitSignal)
	if packets != 1000 || sum < 999 || sum > 1001 {
		t.Errorf("%d packets, %v by the rates", packets, sum)
	}
}
