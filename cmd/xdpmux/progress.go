package main

import (
	"fmt"
	"io"

	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/cmd/internal/terminal"
	"github.com/xdpmux/xdpmux/dispatcher"
)

// fewInterfaces is how many are done without showing progress.
const fewInterfaces = 4

// progress shows on a terminal how far work on many interfaces is. It returns what
// to call before each step on one of them, and what to call at the end.
func progress(w io.Writer, ifnames []string) (each func(step dispatcher.Step, i int), end func()) {
	if !terminal.Drawable(w) || len(ifnames) <= fewInterfaces {
		return func(dispatcher.Step, int) {}, func() {}
	}
	const clearLine = "\r\x1b[K"
	return func(step dispatcher.Step, i int) {
		fmt.Fprintf(w, clearLine+"%s %d of %d: %s", step, i+1, len(ifnames), output.Shown(ifnames[i]))
	}, func() { fmt.Fprint(w, clearLine) }
}
