package main

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/xdpmux/xdpmux/cmd/internal/web"
)

// server shows how things are at an address, once it can listen there. The agent goes on without
// it: another process may have the address, or no interface has it yet.
type server struct {
	address string
	log     *slog.Logger
	server  *http.Server

	ended  chan struct{} // closed when nothing is served any more; nil: it couldn't listen yet
	failed string        // why it couldn't, as the log has it
}

// try begins to serve, unless that has begun.
func (s *server) try() {
	if s.ended != nil {
		return
	}
	listener, err := web.Listen(s.address)
	if err != nil {
		if text := err.Error(); text != s.failed {
			s.failed = text
			s.log.Warn("nothing is served yet", "error", err, "remedy", "free the address, or choose another with --listen: it is tried again each half minute")
		}
		return
	}
	s.ended = make(chan struct{})
	go func() {
		defer close(s.ended)
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Warn("nothing is served any more", "error", err)
		}
	}()
	s.log.Info("serving a page, /metrics, /healthz and /readyz", "url", "http://"+listener.Addr().String())
}

func (s *server) close() {
	if s.ended != nil {
		s.server.Close()
		<-s.ended
	}
}
