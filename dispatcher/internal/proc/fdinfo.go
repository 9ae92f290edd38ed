package proc

import (
	"os"
	"strconv"
	"strings"
)

// FdLinkID reads the id of the link behind a descriptor from its fdinfo; 0: it is
// something else.
func FdLinkID(fdinfo string) uint32 {
	text, err := os.ReadFile(fdinfo)
	if err != nil {
		return 0
	}
	return linkIDIn(string(text))
}

// linkIDIn reads the text of /proc/PID/fdinfo/FD (proc_pid_fdinfo(5)).
func linkIDIn(fdinfo string) uint32 { return IdIn(fdinfo, "link_id:") }

func IdIn(fdinfo, field string) uint32 {
	for line := range strings.Lines(fdinfo) {
		if value, ok := strings.CutPrefix(line, field); ok {
			id, _ := strconv.ParseUint(strings.TrimSpace(value), 10, 32)
			return uint32(id)
		}
	}
	return 0
}
