package main

import (
	"fmt"

	"github.com/xdpmux/xdpmux/dispatcher"
)

// fewInterfaces is how many are done without showing progress.
const fewInterfaces = 4

// progress shows on a terminal how far work on many interfaces is. It returns what
// to call before each step on one of them, and what to call at the end.
func (o *output) progress(ifnames []string) (each func(step dispatcher.Step, i int), end func()) {
	if !drawable(o.stderr) || len(ifnames) <= fewInterfaces {
		return func(dispatcher.Step, int) {}, func() {}
	}
	const clearLine = "\r\x1b[K"
	return func(step dispatcher.Step, i int) {
		fmt.Fprintf(o.stderr, clearLine+"%s %d of %d: %s", step, i+1, len(ifnames), shown(ifnames[i]))
	}, func() { fmt.Fprint(o.stderr, clearLine) }
}
