// Package dispatcher holds xdpmux's own dispatchers, for what the installed libxdp has
// none for. make compiles them from the C file beside this one.
package dispatcher

import (
	"embed"
	"fmt"
)

//go:embed all:obj
var objects embed.FS

// Object is the compiled object file for a version of libxdp's protocol, 2 or 3. It is
// missing from a binary that was built without make.
func Object(version int) ([]byte, error) {
	return objects.ReadFile(fmt.Sprintf("obj/xdpmux_dispatcher-%d.o", version))
}
