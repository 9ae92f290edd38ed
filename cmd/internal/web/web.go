// Package web serves what a program has to show, to whoever may reach its address.
package web

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// NewServer is a server that gives up on clients that read or write slowly, or not at all. All
// of it only reads.
func NewServer(mux *http.ServeMux) *http.Server {
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

// Address is an address to listen on, as --listen has it. One without a host means loopback.
func Address(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", cmdline.UsageError(fmt.Sprintf("%q is not an address to listen on: %v", text, err), "such as: --listen 127.0.0.1:9435")
	}
	return net.JoinHostPort(cmp.Or(host, "127.0.0.1"), port), nil
}

// Listen listens on an [Address].
func Listen(address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
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
