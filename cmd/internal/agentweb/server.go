package agentweb

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/xdpmux/xdpmux/cmd/internal/web"
)

// Server shows how things are at an address, once it can listen there. The agent goes on without
// it: another process may have the address, or no interface has it yet.
type Server struct {
	address string
	log     *slog.Logger
	server  *http.Server

	ended    chan struct{} // closed when nothing is served any more; nil: it couldn't listen yet
	refusals int           // how often it couldn't, until it could
	failed   string        // why it couldn't last, as the log has it
}

// NewServer is one that begins with [Server.Try]. address is one of [web.Address].
func NewServer(address string, log *slog.Logger, mux *http.ServeMux) *Server {
	return &Server{address: address, log: log, server: web.NewServer(mux)}
}

// Try begins to serve, unless that has begun.
func (s *Server) Try() {
	if s.ended != nil {
		return
	}
	listener, err := web.Listen(s.address)
	if err != nil {
		s.refusals++
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

// Waits says why nothing is served yet; empty: something is.
func (s *Server) Waits() string {
	if s.ended != nil {
		return ""
	}
	return s.failed
}

// Close ends it.
func (s *Server) Close() {
	if s.ended != nil {
		s.server.Close()
		<-s.ended
	}
}
