package exporter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	neturl "net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// drawnPanel is what testdata/dashboard.html has drawn of a panel.
type drawnPanel struct {
	Title   string
	Legends []string
	Most    float64 // the largest figure
}

// scrapes are two scrapes of stats --latency --listen on a real kernel (6.12, two interfaces with xdp_count and
// xdp_drop_ipv6 each), between which packets came.
func scrapes(t *testing.T) (all [][]byte) {
	t.Helper()
	for _, name := range []string{"scrape-1.prom", "scrape-2.prom"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data)
	}
	return all
}

// startPrometheus starts a Prometheus that scrapes one address as two hosts, and returns its URL.
func startPrometheus(t *testing.T, target string) string {
	t.Helper()
	path, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatal("prometheus is missing: make deps installs it")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close() // a Prometheus doesn't say which port it has chosen
	dir := t.TempDir()
	config := fmt.Sprintf(`
global: {scrape_interval: 250ms, scrape_timeout: 250ms}
scrape_configs:
- job_name: xdpmux
  static_configs:
  - {targets: [%q], labels: {instance: host1}}
  - {targets: [%q], labels: {instance: host2}}
`, target, target)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command(path, "--config.file="+file, "--storage.tsdb.path="+dir+"/data", "--web.listen-address="+address)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus:\n%s", &said)
		}
	})
	return "http://" + address
}

// TestDashboardDrawn has a real Prometheus take scrapes of a real exporter. A browser asks it all that the dashboard
// asks, for all hosts and interfaces and for one of each. Every panel gets figures, and only of what was chosen.
func TestDashboardDrawn(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	texts := scrapes(t)
	for name := range scrapedLabels(t) {
		if !bytes.Contains(texts[1], []byte("\n"+name+"{")) {
			t.Errorf("the scrapes have no %s, and the exporter has", name)
		}
	}
	var scraped atomic.Int64
	enough := make(chan struct{})
	exporter := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := scraped.Add(1)
		if n == 14 {
			close(enough)
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = w.Write(texts[min(n/6, 1)]) // of two hosts; a rate takes two scrapes
	}))
	defer exporter.Close()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, map[bool]string{true: "../../../docs/grafana-dashboard.json", false: "testdata/dashboard.html"}[r.URL.Path == "/dashboard.json"])
	}))
	defer page.Close()
	prometheus := startPrometheus(t, strings.TrimPrefix(exporter.URL, "http://"))
	select {
	case <-enough:
	case <-ctx.Done():
		t.Fatal("Prometheus doesn't scrape")
	}
	if err := chromedp.Run(ctx, runtime.Enable(), chromedp.EmulateViewport(1200, 900)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		chosen   neturl.Values
		programs string // that the legend of a panel of programs names
	}{
		{"all", neturl.Values{}, "host1 eth0, host1 eth1, host2 eth0, host2 eth1"},
		{"one", neturl.Values{"instance": {"host2"}, "interface": {"eth1"}}, "host2 eth1"},
	} {
		c.chosen.Set("prometheus", prometheus)
		var result string
		if err := chromedp.Run(ctx, chromedp.Navigate(page.URL+"/?"+c.chosen.Encode()),
			chromedp.Poll("window.drawn", nil), chromedp.Evaluate("JSON.stringify(window.drawn)", &result)); err != nil {
			t.Fatal(err)
		}
		screenshot(t, ctx, "dashboard-"+c.name)
		var drawn struct {
			Error  string
			Panels []drawnPanel
		}
		if err := json.Unmarshal([]byte(result), &drawn); err != nil {
			t.Fatal(err)
		}
		if drawn.Error != "" || len(drawn.Panels) != 7 {
			t.Fatalf("%s: %d panels, %s", c.name, len(drawn.Panels), drawn.Error)
		}
		for _, p := range drawn.Panels {
			var places []string
			for _, legend := range p.Legends {
				words := strings.Fields(legend)
				places = append(places, strings.Join(words[:min(2, len(words))], " "))
			}
			slices.Sort(places)
			if got := strings.Join(slices.Compact(places), ", "); got != c.programs {
				t.Errorf("%s: %s is of %q, want %q", c.name, p.Title, got, c.programs)
			}
			if missed := strings.Contains(p.Title, "missed"); !missed && p.Most < 1e-8 || strings.Contains(fmt.Sprint(p.Legends), "undefined") {
				t.Errorf("%s: %s goes up to %v, with %q", c.name, p.Title, p.Most, p.Legends)
			}
		}
	}
}
