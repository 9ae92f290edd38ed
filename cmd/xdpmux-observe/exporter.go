package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/xdpmux/xdpmux/cmd/internal/exporter"
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
	mux := http.NewServeMux()
	e := exporter.New(o.Read, nil)
	e.Serve(mux)
	mux.HandleFunc("GET /healthz", e.Health)
	server := web.NewServer(mux)
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	fmt.Fprintf(out.Stderr, "xdpmux: serving http://%s/ and /metrics\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
