package dispatcher

import (
	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/cgo/libxdp"
)

// LibxdpVersion is the version of libxdp that the binary was built against, and
// "unknown" where it was built without the Makefile.
func LibxdpVersion() string { return libxdp.BuildVersion }

// LibbpfVersion is the version of the libbpf that is in use, such as "1.1".
func LibbpfVersion() string { return libbpf.Version() }
