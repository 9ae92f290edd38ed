package dispatcher

import (
	"os"
	"slices"
	"strings"
)

// mount is a line of /proc/PID/mountinfo.
type mount struct {
	root    string // what of the file system is mounted
	point   string // where
	kind    string // of file system
	options string // of the file system, not of the mount
}

// mountsIn reads the text of /proc/PID/mountinfo (proc_pid_mountinfo(5)): root and mount point
// are the fourth and fifth field. A lone hyphen ends the optional fields, which are from the
// seventh on. Behind it are the type of file system, its source and its options. A mount point
// may be called "-" itself.
func mountsIn(mountinfo string) []mount {
	const root, point, optional = 3, 4, 6
	var mounts []mount
	for line := range strings.Lines(mountinfo) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), " ") // the kernel escapes no other white space than the four below
		if len(fields) <= optional || fields[point] == "" {
			continue
		}
		rest := fields[optional:]
		hyphen := slices.Index(rest, "-")
		if hyphen < 0 || hyphen+1 >= len(rest) {
			continue
		}
		m := mount{root: unescapeMount.Replace(fields[root]), point: unescapeMount.Replace(fields[point]), kind: rest[hyphen+1]}
		if hyphen+3 < len(rest) {
			m.options = rest[hyphen+3]
		}
		mounts = append(mounts, m)
	}
	return mounts
}

// unescapeMount undoes what the kernel does to the characters that separate.
var unescapeMount = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// bpffsMounts lists where a bpffs is mounted.
func bpffsMounts() []string {
	text, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return nil
	}
	return bpffsIn(string(text))
}

func bpffsIn(mountinfo string) []string {
	var dirs []string
	for _, m := range mountsIn(mountinfo) {
		if m.kind == "bpf" {
			dirs = append(dirs, m.point)
		}
	}
	return dirs
}
