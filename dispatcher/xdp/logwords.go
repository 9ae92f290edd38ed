package xdp

// LogLevel is the importance of a message.
type LogLevel int

// The levels, the most important first.
const (
	LogWarn LogLevel = iota
	LogInfo
	LogDebug
)

// LogFunc takes one message of a C library: library is "libbpf" or "libxdp". text has no
// newline at its end, and may have some inside.
type LogFunc func(library string, level LogLevel, text string)
