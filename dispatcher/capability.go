package dispatcher

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// capability is one of Linux' (capabilities(7)).
type capability struct {
	name  string
	bit   uint
	needs string // what it is needed for
}

// neededCapabilities are what loading, attaching and finding programs takes.
// CAP_SYS_ADMIN includes CAP_BPF and CAP_PERFMON.
var neededCapabilities = []capability{
	{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN, "to attach programs to interfaces"},
	{"CAP_SYS_ADMIN", unix.CAP_SYS_ADMIN, "to find running programs by their id"},
}

// missingCapabilities names those that the process doesn't have.
func missingCapabilities() []string {
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return nil
	}
	return missingIn(string(status))
}

// missingIn reads the text of /proc/PID/status.
func missingIn(status string) []string {
	for line := range strings.Lines(status) {
		hex, ok := strings.CutPrefix(line, "CapEff:")
		if !ok {
			continue
		}
		set, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		if err != nil {
			return nil
		}
		var missing []string
		for _, c := range neededCapabilities {
			if set&(1<<c.bit) == 0 {
				missing = append(missing, c.name)
			}
		}
		return missing
	}
	return nil
}
