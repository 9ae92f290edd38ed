package exporter

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/cmd/internal/web"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
)

// served is all that an exporter serves.
func served(e *Exporter) *http.ServeMux {
	mux := http.NewServeMux()
	e.Serve(mux)
	mux.HandleFunc("GET /healthz", e.Health)
	return mux
}

// The server says where the metrics are, and has an end for a reader that only keeps it
// busy.
func TestServer(t *testing.T) {
	t.Parallel()
	server := web.NewServer(served(New(func() *observe.Snapshot { return &observe.Snapshot{} }, nil)))
	if server.ReadTimeout == 0 || server.WriteTimeout == 0 || server.IdleTimeout == 0 {
		t.Errorf("no limits: %+v", server)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	for _, c := range []struct {
		method, path string
		status       int
		want         string
	}{
		{"GET", "/", http.StatusOK, `<a href="metrics">`},
		{"GET", "/?interface=none", http.StatusOK, "No XDP program is observed on none."},
		{"GET", "/metrics", http.StatusOK, ""},
		{"GET", "/healthz", http.StatusOK, "ok\n"},
		{"GET", "/other", http.StatusNotFound, "404"},
		{"GET", "/../../etc/passwd", http.StatusNotFound, "404"},
		{"POST", "/", http.StatusMethodNotAllowed, "Method Not Allowed"},
		{"DELETE", "/events", http.StatusMethodNotAllowed, "Method Not Allowed"},
	} {
		request, err := http.NewRequest(c.method, "http://"+listener.Addr().String()+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || r.StatusCode != c.status || !strings.Contains(string(body), c.want) {
			t.Errorf("%s %s: %d, %s, %v", c.method, c.path, r.StatusCode, body, err)
		}
	}
	slow, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if _, err := slow.Write([]byte("GET /metrics HTTP/1.1\r\nHost: x\r\n")); err != nil {
		t.Fatal(err)
	}
	_ = slow.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadAll(slow); err != nil {
		t.Errorf("a request without end: %v", err)
	}
}
