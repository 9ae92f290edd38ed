package dispatcher

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// capability is one of Linux' (capabilities(7)).
type capability struct {
	name     string
	bit      uint
	needs    string // what it is needed for
	included bool   // in CAP_SYS_ADMIN
	global   bool   // of no use in a user namespace
}

// neededCapabilities are what a chain takes: to change one all of them, to read one
// CAP_SYS_ADMIN.
var neededCapabilities = []capability{
	{name: "CAP_NET_ADMIN", bit: unix.CAP_NET_ADMIN, needs: "to attach programs to interfaces"},
	{name: "CAP_SYS_ADMIN", bit: unix.CAP_SYS_ADMIN, needs: "to find running programs, and the types of their functions, by id", global: true},
	{name: "CAP_BPF", bit: unix.CAP_BPF, needs: "to load programs", included: true, global: true},
	{name: "CAP_PERFMON", bit: unix.CAP_PERFMON, needs: "to load programs that replace or trace others", included: true, global: true},
}

// capabilities are those that the process has; bit n is number n.
type capabilities uint64

func (s capabilities) has(c capability) bool { return s&(1<<c.bit) != 0 }

// missing names those that are needed and not there, without what others include.
func (s capabilities) missing() []string {
	var missing []string
	for _, c := range neededCapabilities {
		if !c.included && !s.has(c) {
			missing = append(missing, c.name)
		}
	}
	return missing
}

// missingCapabilities names those that the process doesn't have.
func missingCapabilities() []string { return ownCapabilities().missing() }

// ownCapabilities leaves out what is of no use where the process is. Where they can't
// be read, all are taken to be there, and the kernel will tell.
func ownCapabilities() capabilities {
	s := ^capabilities(0)
	if status, err := os.ReadFile("/proc/thread-self/status"); err == nil {
		s = capabilitiesIn(string(status))
	}
	if inUserNamespace() {
		for _, c := range neededCapabilities {
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

// capabilityRemedy says how to come by missing capabilities.
func capabilityRemedy() string {
	if inUserNamespace() {
		return "those of a user namespace, such as a rootless container's, don't count: run outside of it, as root"
	}
	return "run as root, or give the process what is missing"
}

func checkCapabilities() []Check {
	own := ownCapabilities()
	var checks []Check
	for _, c := range neededCapabilities {
		switch {
		case own.has(c):
			checks = append(checks, ok(c.name, "there; needed %s", c.needs))
		case c.included && own&(1<<unix.CAP_SYS_ADMIN) != 0:
			checks = append(checks, ok(c.name, "part of CAP_SYS_ADMIN, which is there; needed %s", c.needs))
		default:
			checks = append(checks, Check{Name: c.name, State: CheckMissing, Detail: "needed " + c.needs, Remedy: capabilityRemedy()})
		}
	}
	return checks
}
