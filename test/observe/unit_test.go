package observe

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestExporterUnit starts the exporter's unit in its sandbox: it counts what interfaces do that
// come later, and leaves nothing when it stops.
func TestExporterUnit(t *testing.T) {
	harness.NoLeak(t)
	path, err := exec.LookPath(xdpmux)
	if err != nil {
		t.Fatal(err)
	}
	unit, err := os.ReadFile("../../systemd/xdpmux-exporter.service.in")
	if err != nil {
		t.Fatal(err)
	}
	units := t.TempDir()
	for name, text := range map[string]string{
		"xdpmux-exporter.service": strings.ReplaceAll(string(unit), "@BINDIR@", filepath.Dir(path)),
		"boot.target":             "[Unit]\nWants=xdpmux-exporter.service\n",
	} {
		if err := os.WriteFile(filepath.Join(units, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := harness.BootSystemd(t, units, "boot.target")
	const base = "http://127.0.0.1:9435/"
	defer http.DefaultClient.CloseIdleConnections()
	get := func(page string) string {
		r, err := http.Get(base + page)
		if err != nil {
			return err.Error()
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err.Error()
		}
		return string(body)
	}
	var got string
	if !harness.Eventually(func() bool { got = get("healthz"); return got == "ok\n" }) {
		status, _ := s.Ctl(t, "status", "xdpmux-exporter")
		t.Fatalf("%s\n%s", got, status)
	}
	v := harness.NewVeth(t)
	t.Cleanup(func() { _ = dispatcher.DetachAll(t.Context(), v.Name, dispatcher.DetachOptions{}) })
	harness.MustRun(t, xdpmux, "load", v.Name, harness.Sample("xdp_pass"), harness.Sample("xdp_drop"))
	passes := func(n int) string {
		return fmt.Sprintf("xdpmux_chain_packets_total{interface=%q,verdict=\"XDP_DROP\"} %d\n", v.Name, n)
	}
	if !harness.Eventually(func() bool { got = get("metrics"); return strings.Contains(got, passes(0)) }) {
		t.Fatalf("it doesn't count what came later:\n%s", got)
	}
	v.Send(t, make([]byte, 64), make([]byte, 64), make([]byte, 64))
	if !harness.Eventually(func() bool { got = get("metrics"); return strings.Contains(got, passes(3)) }) {
		t.Errorf("no %s in\n%s", passes(3), got)
	}
	if page := get("?interface=" + v.Name); !strings.Contains(page, "xdp_drop decides XDP_DROP: 3 packets") {
		t.Errorf("the page has no drops:\n%s", page)
	}
	if output, status := s.Ctl(t, "stop", "xdpmux-exporter"); status != 0 {
		t.Error(output)
	}
	if result, _ := s.Ctl(t, "show", "-p", "Result", "xdpmux-exporter"); result != "Result=success\n" {
		t.Errorf("it ended with %s", result)
	}
}
