package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/coreos/go-systemd/v22/journal"
)

// newLog writes to w, as JSON or as text. Where that is systemd's journal, text has the
// priorities of sd-daemon(3) instead of levels, and no times, which the journal has.
func newLog(w io.Writer, json bool) *slog.Logger {
	if json {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	if is, err := journal.StderrIsJournalStream(); is && err == nil {
		return slog.New(newJournalHandler(w))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}

// journalHandler writes records as text with a priority before each.
type journalHandler struct {
	slog.Handler // writes to line
	mu           *sync.Mutex
	line         *bytes.Buffer
	to           io.Writer
}

func newJournalHandler(to io.Writer) *journalHandler {
	line := &bytes.Buffer{}
	text := slog.NewTextHandler(line, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a
	}})
	return &journalHandler{text, &sync.Mutex{}, line, to}
}

func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.line.Reset()
	fmt.Fprintf(h.line, "<%d>", priority(r.Level))
	if err := h.Handler.Handle(ctx, r); err != nil {
		return err
	}
	_, err := h.to.Write(h.line.Bytes())
	return err
}

func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.Handler = h.Handler.WithAttrs(attrs)
	return &with
}

func (h *journalHandler) WithGroup(name string) slog.Handler {
	with := *h
	with.Handler = h.Handler.WithGroup(name)
	return &with
}

// priority is that of syslog(3).
func priority(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}
