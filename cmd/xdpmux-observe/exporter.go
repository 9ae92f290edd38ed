package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/cmd/internal/web"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
)

// export answers Prometheus, and browsers, until ctx ends.
func export(ctx context.Context, out *output.Printer, address string, ifnames []string, opts observe.Options) error {
	address, err := web.Address(address)
	if err != nil {
		return err
	}
	listener, err := web.Listen(address)
	if err != nil {
		return err
	}
	defer listener.Close()
	o, err := observe.Open(ctx, ifnames, opts)
	if err != nil {
		return err
	}
	defer o.Close()
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics{o.Read})
	server := newServer(registry, &sampler{read: o.Read, interval: pageInterval})
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	fmt.Fprintf(out.Stderr, "xdpmux: serving http://%s/ and /metrics\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// pageInterval is how often a page shows new figures.
const pageInterval = time.Second

// healthLimit is how long reading the counters may take on a healthy machine.
const healthLimit = 5 * time.Second

// newServer serves what was counted.
func newServer(registry *prometheus.Registry, s *sampler) *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { serveHealth(w, r, s) })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { servePage(w, r, s) })
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) { serveEvents(w, r, s) })
	return web.NewServer(mux)
}

// serveHealth says whether the counters can be read.
func serveHealth(w http.ResponseWriter, r *http.Request, s *sampler) {
	ctx, cancel := context.WithTimeout(r.Context(), healthLimit)
	defer cancel()
	read := make(chan struct{})
	go func() {
		defer close(read)
		s.newest()
	}()
	select {
	case <-read:
		fmt.Fprintln(w, "ok")
	case <-ctx.Done():
		http.Error(w, fmt.Sprintf("the counters could not be read within %v", healthLimit), http.StatusServiceUnavailable)
	}
}
