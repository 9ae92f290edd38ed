package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/check"
)

// A dumb terminal gets lines, one below the other: no colours, no cursor that moves.
func TestDumbTerminal(t *testing.T) {
	master, slave, err := pty.Open()
	must(t, err)
	defer master.Close()
	defer slave.Close()
	must(t, pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for name, plain := range map[string]bool{"dumb": true, "xterm": false} {
		t.Setenv("TERM", name)
		t.Setenv("NO_COLOR", "")
		out := &output.Printer{Stdout: slave, Stderr: slave}
		if got := paint(out.Stdout, check.OK, "ok"); (got == "ok") != plain {
			t.Errorf("%s: %q", name, got)
		}
		each, end := progress(out.Stderr, strings.Split("a b c d e f", " "))
		each(dispatcher.StepSwap, 1)
		end()
		must(t, watch(ctx, slave, time.Hour, false, func(w io.Writer) error {
			cancel()
			_, err := io.WriteString(w, "a block\n")
			return err
		}))
		var got bytes.Buffer
		for b := make([]byte, 100); !strings.Contains(got.String(), "a block"); {
			n, err := master.Read(b)
			must(t, err)
			got.Write(b[:n])
		}
		if strings.Contains(got.String(), "\x1b") == plain {
			t.Errorf("%s: %q", name, got.String())
		}
	}
}
