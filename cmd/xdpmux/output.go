package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// version is xdpmux's own, set by the Makefile.
var version = "unknown"

// output is where a command prints: facts to stdout, diagnostics to stderr.
type output struct {
	stdout, stderr io.Writer
	verbosity      int // how often -v was given
}

// firstError writes, and keeps the first error of that: most commands print line by line and
// look at none.
type firstError struct {
	io.Writer
	err error
}

func (w *firstError) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if w.err == nil {
		w.err = err
	}
	return n, err
}

func (o *output) printVersion() {
	fmt.Fprintf(o.stdout, "xdpmux version %s using libxdp version %s and libbpf version %s\n",
		version, dispatcher.LibxdpVersion(), dispatcher.LibbpfVersion())
}

// connectLog shows what the C libraries say, as far as -v asks for it.
func (o *output) connectLog() {
	show := func(library string, _ xdp.LogLevel, text string) {
		for line := range strings.SplitSeq(text, "\n") {
			fmt.Fprintf(o.stderr, "%s\n", shown(strings.TrimSpace(prefixed(library, line))))
		}
	}
	switch o.verbosity {
	case 0:
		dispatcher.SetLog(0, 0, nil)
	case 1:
		dispatcher.SetLog(xdp.LogWarn, xdp.LogDebug, show)
	default:
		dispatcher.SetLog(xdp.LogDebug, xdp.LogDebug, show)
	}
}

// prefixed names the library, which most but not all of its messages do
// themselves.
func prefixed(library, line string) string {
	if strings.HasPrefix(strings.TrimSpace(line), library+":") {
		return line
	}
	return library + ": " + line
}

// say prints a line of a diagnostic, whose text may hold names from outside.
func (o *output) say(before, text string) { fmt.Fprintf(o.stderr, "%s%s\n", before, shown(text)) }

func (o *output) warn(format string, args ...any) {
	o.say("xdpmux: warning: ", fmt.Sprintf(format, args...))
}

// warnOf warns of what a change will bring.
func (o *output) warnOf(err error) {
	o.warn("%v", err)
	var e *xdp.Error
	if errors.As(err, &e) && e.Remedy != "" {
		o.say("  ", e.Remedy)
	}
}

// record keeps what programs are loaded from, right before the chain is changed, so that
// export can say it. A chain that can't be recorded is changed all the same.
func (o *output) record(coming []dispatcher.Coming) error {
	if err := desired.Record(coming); err != nil {
		o.warn("export will not know what is loaded now: %v", err)
	}
	return nil
}

// verifierLines is how much of a verifier's log is shown without -v: the reason
// stands at its end.
const verifierLines = 8

// printError prints one line of what went wrong, then the end of the verifier's
// log if there is one, then what to do; for each error of several.
func (o *output) printError(err error) {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		if _, ok := err.(*xdp.Error); !ok {
			for _, err := range several.Unwrap() {
				o.printError(err)
			}
			return
		}
	}
	if errors.Is(err, context.Canceled) {
		var e *xdp.Error
		if errors.As(err, &e) { // what it was waiting for
			o.say("xdpmux: interrupted: ", e.Msg)
		} else {
			fmt.Fprintln(o.stderr, "xdpmux: interrupted")
		}
		return
	}
	o.say("xdpmux: ", err.Error())
	if log := strings.TrimSpace(dispatcher.VerifierLog(err)); log != "" {
		lines := strings.Split(log, "\n")
		if o.verbosity == 0 && len(lines) > verifierLines {
			lines = lines[len(lines)-verifierLines:]
			fmt.Fprintf(o.stderr, "  the end of the verifier's log (-v shows all of it):\n")
		}
		for _, line := range lines {
			o.say("  | ", line)
		}
	}
	var e *xdp.Error
	if !errors.As(err, &e) {
		return
	}
	if e.Remedy != "" {
		o.say("  ", e.Remedy)
	}
	if o.verbosity > 0 && e.Err != nil {
		o.say("  cause: ", e.Err.Error())
	}
}

func (o *output) printJSON(v any) error { return printJSON(o.stdout, v) }

func printJSON(w io.Writer, v any) error {
	enc := newJSON(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// newJSON writes a document a line, with < and > as they are, and what a terminal can't
// print escaped.
func newJSON(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(jsonWriter{w})
	enc.SetEscapeHTML(false)
	return enc
}

// usageError is a call that can't be understood.
func usageError(msg, remedy string) error {
	return &xdp.Error{Kind: xdp.ErrInvalid, Msg: msg, Remedy: remedy}
}

func jsonUsage(what string) string { return "print " + what + " as JSON" }
