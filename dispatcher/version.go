package dispatcher

import (
	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/cgo/libxdp"
)

// LibxdpVersion is the version of the libxdp that the binary was built against, such as
// "1.3.1". Where it was built without the Makefile, it is the series of the libxdp that is
// in use, such as "1.3".
func LibxdpVersion() string { return libxdp.Version() }

// LibbpfVersion is the version of the libbpf that is in use, such as "1.1".
func LibbpfVersion() string { return libbpf.Version() }
