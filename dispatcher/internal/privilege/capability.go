package privilege

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// capability is one of Linux' (capabilities(7)).
type capability struct {
	Name     string
	bit      uint
	Needs    string // what it is needed for
	Included bool   // in CAP_SYS_ADMIN
	global   bool   // of no use in a user namespace
}

// NeededCapabilities are what a chain takes: to change one all of them, to read one
// CAP_SYS_ADMIN.
var NeededCapabilities = []capability{
	{Name: "CAP_NET_ADMIN", bit: unix.CAP_NET_ADMIN, Needs: "to attach programs to interfaces"},
	{Name: "CAP_SYS_ADMIN", bit: unix.CAP_SYS_ADMIN, Needs: "to find running programs, and the types of their functions, by id", global: true},
	{Name: "CAP_BPF", bit: unix.CAP_BPF, Needs: "to load programs", Included: true, global: true},
	{Name: "CAP_PERFMON", bit: unix.CAP_PERFMON, Needs: "to load programs that replace or trace others", Included: true, global: true},
}

// capabilities are those that the process has; bit n is number n.
type capabilities uint64

func (s capabilities) Has(c capability) bool { return s&(1<<c.bit) != 0 }

// missing names the capabilities that are needed and not there. It leaves out those that
// CAP_SYS_ADMIN includes.
func (s capabilities) missing() []string {
	var missing []string
	for _, c := range NeededCapabilities {
		if !c.Included && !s.Has(c) {
			missing = append(missing, c.Name)
		}
	}
	return missing
}

// Missing names the needed capabilities that the process doesn't have.
func Missing() []string { return OwnCapabilities().missing() }

// OwnCapabilities are the capabilities of the process, without those that are of no use in its
// user namespace. Where they can't be read, all are taken to be there: the kernel will tell.
func OwnCapabilities() capabilities {
	s := ^capabilities(0)
	if status, err := os.ReadFile("/proc/thread-self/status"); err == nil {
		s = capabilitiesIn(string(status))
	}
	if inUserNamespace() {
		for _, c := range NeededCapabilities {
			if c.global {
				s &^= 1 << c.bit
			}
		}
	}
	return s
}

// capabilitiesIn reads the text of /proc/PID/status.
func capabilitiesIn(status string) capabilities {
	for line := range strings.Lines(status) {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			if s, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64); err == nil {
				return capabilities(s)
			}
		}
	}
	return ^capabilities(0)
}

// firstUserNamespace is its inode number (PROC_USER_INIT_INO).
const firstUserNamespace = 0xEFFFFFFD

func inUserNamespace() bool {
	var st unix.Stat_t
	return unix.Stat("/proc/thread-self/ns/user", &st) == nil && st.Ino != firstUserNamespace
}

// Remedy says how to come by missing capabilities.
func Remedy() string {
	if inUserNamespace() {
		return "those of a user namespace, such as a rootless container's, don't count: run outside of it, as root"
	}
	return "run as root, or give the process what is missing"
}
