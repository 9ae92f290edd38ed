package output

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher"
)

// version is xdpmux's own. The Makefile sets it.
var version string

// Version is the version of xdpmux. Where the Makefile hasn't built it, but go install or
// go build has, it is that of the module.
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return moduleVersion(info)
}

// moduleVersion is "unknown" where Go doesn't know it: it calls that (devel), or nothing.
func moduleVersion(info *debug.BuildInfo) string {
	if number, ok := strings.CutPrefix(info.Main.Version, "v"); ok {
		return number
	}
	return "unknown"
}

// PrintVersion prints the versions of xdpmux and the libraries that it uses.
func (o *Printer) PrintVersion() {
	fmt.Fprintf(o.Stdout, "xdpmux version %s using libxdp version %s and libbpf version %s\n",
		Version(), dispatcher.LibxdpVersion(), dispatcher.LibbpfVersion())
}
