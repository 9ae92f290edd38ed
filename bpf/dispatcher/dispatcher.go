// Package dispatcher holds xdpmux's own dispatcher, for what libxdp's can't host.
// make compiles it from the C file beside this one.
package dispatcher

import "embed"

//go:embed all:obj
var objects embed.FS

// Object is the compiled object file; it is missing from a binary that was built
// without make.
func Object() ([]byte, error) { return objects.ReadFile("obj/xdpmux_dispatcher.o") }
