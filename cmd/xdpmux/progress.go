package main

import "fmt"

// fewInterfaces is how many are done without showing progress.
const fewInterfaces = 4

// progress shows on a terminal how far work on many interfaces is. It returns what
// to call before each, and what to call at the end.
func (o *output) progress(all int) (each func(ifname string), end func()) {
	if rows, _ := terminalSize(o.stderr); rows == 0 || all <= fewInterfaces {
		return func(string) {}, func() {}
	}
	done := 0
	const clearLine = "\r\x1b[K"
	return func(ifname string) {
		done++
		fmt.Fprintf(o.stderr, clearLine+"%d of %d: %s", done, all, ifname)
	}, func() { fmt.Fprint(o.stderr, clearLine) }
}
