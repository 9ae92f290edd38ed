package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// export answers Prometheus, and browsers, until ctx ends.
func export(ctx context.Context, out *output.Printer, address string, ifnames []string, opts observe.Options) error {
	listener, err := listen(address)
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

// newServer is a server that gives up on clients that read or write slowly, or not at all. All
// of it only reads.
func newServer(registry *prometheus.Registry, s *sampler) *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { serveHealth(w, r, s) })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { servePage(w, r, s) })
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) { serveEvents(w, r, s) })
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		mux.ServeHTTP(w, r)
	})
	return &http.Server{Handler: handler, MaxHeaderBytes: 16 << 10,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute}
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

// listen takes an address without a host to mean loopback.
func listen(address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, cmdline.UsageError(fmt.Sprintf("%q is not an address to listen on: %v", address, err), "such as: --listen 127.0.0.1:9435")
	}
	if host == "" {
		host = "127.0.0.1"
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		var cause *net.OpError
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return nil, &xdp.Error{Kind: xdp.ErrInvalid, Err: err,
			Msg: fmt.Sprintf("can't listen on %s: %v", address, err), Remedy: "choose another address or port with --listen"}
	}
	return listener, nil
}
