// Package exporter serves what chains do to packets, for Prometheus and for browsers, and beside it
// what somebody keeps declared.
package exporter

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/xdpmux/xdpmux/dispatcher/observe"
)

// Exporter serves the counters of chains.
type Exporter struct{ sampler *sampler }

// New is an exporter of what read counts. declared says what is kept declared; nil: nobody keeps
// anything.
func New(read func() *observe.Snapshot, declared func() *Declared) *Exporter {
	return &Exporter{&sampler{read: read, declared: declared, interval: pageInterval}}
}

// pageInterval is how often a page shows new figures.
const pageInterval = time.Second

// healthLimit is how long reading the counters may take on a healthy machine.
const healthLimit = 5 * time.Second

// Serve serves the page and /metrics, where more has further figures.
func (e *Exporter) Serve(mux *http.ServeMux, more ...prometheus.Collector) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(append(more, metrics{e.sampler.read})...)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { servePage(w, r, e.sampler) })
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) { serveEvents(w, r, e.sampler) })
}

// Health says whether the counters can be read.
func (e *Exporter) Health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthLimit)
	defer cancel()
	read := make(chan struct{})
	go func() {
		defer close(read)
		e.sampler.newest()
	}()
	select {
	case <-read:
		fmt.Fprintln(w, "ok")
	case <-ctx.Done():
		http.Error(w, fmt.Sprintf("the counters could not be read within %v", healthLimit), http.StatusServiceUnavailable)
	}
}
