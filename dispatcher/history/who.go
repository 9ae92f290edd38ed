package history

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
)

// who is the user behind this process.
func who() *User {
	u := &User{UID: os.Getuid(), SudoUser: privilege.Getenv("SUDO_USER")}
	const nobody = 1<<32 - 1
	text, err := os.ReadFile("/proc/self/loginuid")
	if err != nil {
		return u // a kernel without audit
	}
	if id, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32); err == nil && id != nobody {
		login := int(id)
		u.LoginUID = &login
	}
	return u
}

// maker is who makes a change.
type maker struct {
	user    *User
	process *Process
}

// self is the caller.
func self() maker { return maker{who(), process(os.Getpid())} }

// process is one by its id; nil: there is none.
func process(id int) *Process {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id))
	if err != nil {
		return nil
	}
	// The second field, the name, can hold anything. The third one is the first of these.
	const startTime = 22 - 3
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) <= startTime || fields[0] == "Z" { // a zombie does no more
		return nil
	}
	started, err := strconv.ParseUint(fields[startTime], 10, 64)
	if err != nil {
		return nil
	}
	return &Process{id, started}
}

// runs says whether the process is still there.
func (p *Process) runs() bool {
	if p == nil {
		return false
	}
	now := process(p.ID)
	return now != nil && *now == *p
}

// here is this boot and network namespace, without an interface.
func here() (place, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return place{}, err
	}
	p := place{boot: strings.TrimSpace(string(boot))}
	p.netns, p.cookie, err = device.Netns()
	return p, err
}
