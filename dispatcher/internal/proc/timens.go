package proc

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// MonotonicOffset is what the time namespace of this process adds to CLOCK_MONOTONIC
// (time_namespaces(7)).
func MonotonicOffset() time.Duration {
	text, err := os.ReadFile("/proc/self/timens_offsets")
	if err != nil {
		return 0 // the kernel has no such namespaces
	}
	return monotonicIn(string(text))
}

func monotonicIn(offsets string) time.Duration {
	for line := range strings.Lines(offsets) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "monotonic" {
			seconds, _ := strconv.ParseInt(f[1], 10, 64)
			rest, _ := strconv.ParseInt(f[2], 10, 64)
			return time.Duration(seconds)*time.Second + time.Duration(rest)
		}
	}
	return 0
}
