package dispatcher

import (
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// SetLog sends what libbpf and libxdp have to say to sink: messages of the given
// levels and more important ones. Both are silent without it, and with a nil
// sink again.
func SetLog(libbpfMax, libxdpMax xdp.LogLevel, sink xdp.LogFunc) {
	native.SetLog(libbpfMax, libxdpMax, sink)
}
