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

// NeededCapabilities are what it takes to change a chain.
var NeededCapabilities = []capability{
	{Name: "CAP_NET_ADMIN", bit: unix.CAP_NET_ADMIN, Needs: "to attach programs to interfaces"},
	{Name: "CAP_BPF", bit: unix.CAP_BPF, Needs: "to load programs", Included: true, global: true},
	{Name: "CAP_PERFMON", bit: unix.CAP_PERFMON, Needs: "to load programs that replace or trace others", Included: true, global: true},
}

// SysAdmin is what it takes to open by its id what xdpmux has not pinned.
var SysAdmin = capability{Name: "CAP_SYS_ADMIN", bit: unix.CAP_SYS_ADMIN,
	Needs: "for chains of other tools, programs without a dispatcher, and what maps hold", global: true}

// capabilities are those that the process has; bit n is number n.
type capabilities uint64

func (s capabilities) Has(c capability) bool { return s&(1<<c.bit) != 0 }

// missing names the capabilities that are needed and not there.
func (s capabilities) missing() []string {
	var missing []string
	for _, c := range NeededCapabilities {
		if !s.Has(c) && !(c.Included && s.Has(SysAdmin)) {
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
		for _, c := range append(NeededCapabilities[:len(NeededCapabilities):len(NeededCapabilities)], SysAdmin) {
			if c.global {
				s &^= 1 << c.bit
			}
		}
	}
	return s
}

// OpensByID says whether the kernel opens programs, maps and links for this thread by their ids.
// In a user namespace it may refuse all the same. It costs one capget(2), so that each call can
// ask.
func OpensByID() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) != nil || data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
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
