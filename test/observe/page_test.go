package observe

import (
	"bufio"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	neturl "net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// figures are what the page, a picture or stats --json says of one program.
type figures struct{ packets, handedOn, decided, dropped, passed uint64 }

// eventOf is the next event of the page.
func eventOf(t *testing.T, base, ifname string) string {
	t.Helper()
	defer http.DefaultClient.CloseIdleConnections()
	r, err := http.Get(base + "events?" + neturl.Values{"interface": {ifname}}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var event strings.Builder
	for lines := bufio.NewScanner(r.Body); lines.Scan() && lines.Text() != ""; {
		event.WriteString(strings.TrimPrefix(lines.Text(), "data: ") + "\n")
	}
	return event.String()
}

var pageRow = regexp.MustCompile(`<tr><td>\d*</td><td>(\d+)</td><th scope="row">[^<]*</th><td>(\d+)</td><td>[\d.]+</td><td>(\d+)</td><td>(\d+)</td><td>0</td><td>(\d+)</td><td>(\d+)</td>`)

// onPage are the figures of an event, by the programs' ids.
func onPage(t *testing.T, event string) map[uint32]figures {
	t.Helper()
	all := map[uint32]figures{}
	for _, m := range pageRow.FindAllStringSubmatch(event, -1) {
		var n [6]uint64
		for i := range n {
			n[i], _ = strconv.ParseUint(m[i+1], 10, 64)
		}
		all[uint32(n[0])] = figures{n[1], n[2], n[3], n[4], n[5]}
	}
	return all
}

// inJSON are the figures of a line of stats --json.
func inJSON(t *testing.T, line string) map[uint32]figures {
	t.Helper()
	var report struct {
		Chains []struct {
			Programs []struct {
				ID       uint32
				Packets  uint64
				HandedOn uint64 `json:"handed_on"`
				Decided  uint64
				Verdicts map[string]struct{ Packets uint64 }
			}
		}
	}
	if err := json.Unmarshal([]byte(line), &report); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	all := map[uint32]figures{}
	for _, c := range report.Chains {
		for _, p := range c.Programs {
			all[p.ID] = figures{p.Packets, p.HandedOn, p.Decided, p.Verdicts["XDP_DROP"].Packets, p.Verdicts["XDP_PASS"].Packets}
		}
	}
	return all
}

// TestPage holds the page to stats --json, and to what was sent, for chains of one, two and ten.
func TestPage(t *testing.T) {
	harness.NoLeak(t)
	for _, n := range []int{1, 2, 10} {
		v := harness.NewVeth(t)
		stepsOn(t, v, n)
		p, url := serve(t, "--listen", "127.0.0.1:0", v.Name)
		stats := harness.Start(t, xdpmux, "stats", v.Name, "--json", "--interval", "100ms")
		inJSON(t, stats.Stdout.Line(t)) // it counts
		base := strings.TrimSuffix(url, "metrics")
		harness.Get(t, base+"healthz")

		last := make([]xdp.Verdict, n) // who drops is the last one
		for i := range last {
			last[i] = xdp.Pass
		}
		last[n-1] = xdp.Drop
		testRun(t, v, dispatcherOf(t, v), packet(last...), 300)
		testRun(t, v, dispatcherOf(t, v), packet(), 700)
		var want map[uint32]figures
		if !harness.Eventually(func() bool {
			want = inJSON(t, stats.Stdout.Line(t))
			for _, f := range want {
				if f.packets != 1000 {
					return false
				}
			}
			return true
		}) {
			t.Fatalf("stats --json says %v", want)
		}
		var got map[uint32]figures
		if !harness.Eventually(func() bool { got = onPage(t, eventOf(t, base, v.Name)); return fmt.Sprint(got) == fmt.Sprint(want) }) {
			t.Errorf("%d programs: the page says %v, and stats --json %v", n, got, want)
		}
		if len(want) != n+1 {
			t.Errorf("%d rows for %d programs: %v", len(want), n, want)
		}
		event := eventOf(t, base, v.Name)
		for _, title := range []string{
			fmt.Sprintf("<title>step%d decides XDP_DROP: 300 packets, ", n-1),
			fmt.Sprintf("<title>step%d decides XDP_PASS: 700 packets, ", n-1),
			"<title>packets that come to step0: 1000 packets, ",
		} {
			if !strings.Contains(event, title) {
				t.Errorf("%d programs: no %q in\n%s", n, title, event)
			}
		}
		p.Stop(t, exitSignal)
		stats.Stop(t, exitSignal)
	}
}

// TestPictures draws a chain with and without counts, into files.
func TestPictures(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	stepsOn(t, v, 2)
	dir := t.TempDir()
	file := filepath.Join(dir, "chain.svg")
	read := func(path string) string {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := xml.Unmarshal(text, new(struct{})); err != nil {
			t.Errorf("%v in\n%s", err, text)
		}
		return string(text)
	}
	stats := harness.Start(t, xdpmux, "stats", v.Name, "--svg", file, "--interval", "2s")
	fd := dispatcherOf(t, v)
	for drawn := false; !drawn; { // the interval begins at some moment
		select {
		case <-stats.Ended():
			drawn = true
		default:
			testRun(t, v, fd, packet(xdp.Drop), 100)
		}
	}
	stats.End(t, 0)
	if text := read(file); !regexp.MustCompile(`<title>step0 decides XDP_DROP: [1-9]\d* packets, [1-9][\d.]+/s</title>`).MatchString(text) {
		t.Errorf("no drops in\n%s", text)
	}
	if _, stderr, status := harness.Run(t, xdpmux, "status", v.Name, "--svg", file); status != 1 || !strings.Contains(stderr, file+" is there already") {
		t.Errorf("exit status %d: %s", status, stderr)
	}
	harness.MustRun(t, xdpmux, "status", v.Name, "--svg", file, "--force")
	if text := read(file); !strings.Contains(text, "runs the next program after XDP_PASS") || strings.Contains(text, "/s<") {
		t.Errorf("not a picture without counts:\n%s", text)
	}
	if got := harness.MustRun(t, xdpmux, "status", v.Name, "--svg", "-"); got != read(file) {
		t.Errorf("standard output gets another picture:\n%s", got)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}
