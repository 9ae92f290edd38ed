package dispatcher

// SetLog sends what libbpf and libxdp have to say to sink: messages of the given
// levels and more important ones. Both are silent without it, and with a nil
// sink again.
func SetLog(libbpfMax, libxdpMax LogLevel, sink LogFunc) { setLog(libbpfMax, libxdpMax, sink) }
