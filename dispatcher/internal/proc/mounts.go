package proc

import (
	"os"
	"slices"
	"strings"
)

// MountsIn reads the text of /proc/PID/mountinfo (proc_pid_mountinfo(5)): root and mount point
// are the fourth and fifth field. A lone hyphen ends the optional fields, which are from the
// seventh on. Behind it are the type of file system, its source and its options. A mount point
// may be called "-" itself.
func MountsIn(mountinfo string) []Mount {
	const root, point, optional = 3, 4, 6
	var mounts []Mount
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
		m := Mount{Root: UnescapeMount.Replace(fields[root]), Point: UnescapeMount.Replace(fields[point]), Kind: rest[hyphen+1]}
		if hyphen+3 < len(rest) {
			m.Options = rest[hyphen+3]
		}
		mounts = append(mounts, m)
	}
	return mounts
}

// UnescapeMount undoes what the kernel does to the characters that separate.
var UnescapeMount = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// BPFFSMounts lists where a bpffs is mounted.
func BPFFSMounts() []string {
	text, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return nil
	}
	return bpffsIn(string(text))
}

func bpffsIn(mountinfo string) []string {
	var dirs []string
	for _, m := range MountsIn(mountinfo) {
		if m.Kind == "bpf" {
			dirs = append(dirs, m.Point)
		}
	}
	return dirs
}
