// Package output is what commands print: facts on standard output, diagnostics on
// standard error. What comes from outside is printed so that a terminal can show it.
package output

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Printer is where a command prints: facts to stdout, diagnostics to stderr.
type Printer struct {
	Stdout, Stderr io.Writer
	Verbosity      int  // how often -v was given
	InFull         bool // remedies say "xdpmux unload", not "unload"
}

// New is a Printer that keeps the first error of writing to stdout.
func New(stdout, stderr io.Writer) *Printer {
	return &Printer{Stdout: &firstError{Writer: stdout}, Stderr: stderr}
}

// WriteError is the first error of writing to standard output.
func (o *Printer) WriteError() error {
	if w, ok := o.Stdout.(*firstError); ok {
		return w.err
	}
	return nil
}

// firstError writes, and keeps the first error of that. Most commands print line by line
// and look at none.
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

// Unwrap is what w writes to, so that package terminal can ask it.
func (w *firstError) Unwrap() io.Writer { return w.Writer }

// ConnectLog shows what the C libraries say, as far as -v asks for it.
func (o *Printer) ConnectLog() {
	show := func(library string, _ xdp.LogLevel, text string) {
		for line := range strings.SplitSeq(text, "\n") {
			fmt.Fprintf(o.Stderr, "%s\n", Shown(strings.TrimSpace(prefixed(library, line))))
		}
	}
	switch o.Verbosity {
	case 0:
		dispatcher.SetLog(0, 0, nil)
	case 1:
		dispatcher.SetLog(xdp.LogWarn, xdp.LogDebug, show)
	default:
		dispatcher.SetLog(xdp.LogDebug, xdp.LogDebug, show)
	}
}

// prefixed puts the library's name before a line, unless the line has it. Most have.
func prefixed(library, line string) string {
	if strings.HasPrefix(strings.TrimSpace(line), library+":") {
		return line
	}
	return library + ": " + line
}

// Say prints a line of a diagnostic, whose text may hold names from outside.
func (o *Printer) Say(before, text string) { fmt.Fprintf(o.Stderr, "%s%s\n", before, Shown(text)) }

// Warn prints a warning, whose arguments may hold names from outside.
func (o *Printer) Warn(format string, args ...any) {
	o.Say("xdpmux: warning: ", fmt.Sprintf(format, args...))
}

// WarnOf warns of what a change brings, or of what is wrong without one, and says what to do.
func (o *Printer) WarnOf(err error) {
	o.Warn("%v", err)
	o.Advise(err)
}

// Advise prints what to do about an error, if there is something to say.
func (o *Printer) Advise(err error) {
	var e *xdp.Error
	if errors.As(err, &e) && e.Remedy != "" {
		o.Say("  ", o.Remedy(e.Remedy, e.Hints))
	}
}

// verifierLines is how many lines of a verifier's log are shown without -v: the last ones,
// where the reason stands.
const verifierLines = 8

// PrintError prints a line that says what went wrong, the end of the verifier's log if
// there is one, and what to do. Of several errors it does so for each.
func (o *Printer) PrintError(err error) {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		if _, ok := err.(*xdp.Error); !ok {
			for _, err := range several.Unwrap() {
				o.PrintError(err)
			}
			return
		}
	}
	if errors.Is(err, context.Canceled) {
		var e *xdp.Error
		if errors.As(err, &e) { // what it was waiting for
			o.Say("xdpmux: interrupted: ", e.Msg)
		} else {
			fmt.Fprintln(o.Stderr, "xdpmux: interrupted")
		}
		return
	}
	o.Say("xdpmux: ", err.Error())
	if log := strings.TrimSpace(dispatcher.VerifierLog(err)); log != "" {
		lines := strings.Split(log, "\n")
		if o.Verbosity == 0 && len(lines) > verifierLines {
			lines = lines[len(lines)-verifierLines:]
			fmt.Fprintf(o.Stderr, "  the end of the verifier's log (-v shows all of it):\n")
		}
		for _, line := range lines {
			o.Say("  | ", line)
		}
	}
	o.Advise(err)
	var e *xdp.Error
	if o.Verbosity > 0 && errors.As(err, &e) && e.Err != nil {
		o.Say("  cause: ", e.Err.Error())
	}
}
