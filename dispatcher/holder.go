package dispatcher

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// checkHeld says whether a bpf_link holds the interface's main program: then
// nobody can replace it or take it away through the interface.
func checkHeld(l link) error {
	if l.progID == 0 {
		return nil
	}
	id := holdingLinks()[holding{ifindex: l.Index, progID: l.progID}]
	if id == 0 {
		return nil
	}
	program := Loaded{ID: l.progID}
	if p, err := loadedByID(l.progID); err == nil {
		program = p.Loaded
	}
	return heldByLink(l.Name, program, id)
}

// Held is the error of a change where a bpf_link holds the interface's program; nil:
// none does. It names who holds the link. Errors: [ErrLinkHeld].
func (c *Chain) Held() error {
	main := cmp.Or(c.Dispatcher, c.Legacy)
	if c.Link == 0 || main == nil {
		return nil
	}
	return heldByLink(c.Interface.Name, *main, c.Link)
}

// InTheWay is the error of a program that keeps others from joining it, as a bpf_link
// holds it or it was attached without a dispatcher; nil: there is none. Errors:
// [ErrLinkHeld], [ErrLegacy].
func (c *Chain) InTheWay() error {
	if held := c.Held(); held != nil || c.Legacy == nil {
		return held
	}
	return legacyInTheWay(c.Interface.Name, *c.Legacy)
}

func heldByLink(ifname string, program Loaded, id uint32) error {
	e := &Error{Kind: ErrLinkHeld,
		Msg:    fmt.Sprintf("%s has %s, held by bpf_link %d, and only through that can it be changed", ifname, program, id),
		Remedy: fmt.Sprintf("to remove it all the same: bpftool link detach id %d", id)}
	if holders := linkHolders(id); len(holders) > 0 {
		e.Remedy = "the link belongs to " + strings.Join(holders, " and ") + "; " + e.Remedy
	}
	return e
}

// stillHeld says by whom a chain that was on an interface is still held; nil: it is gone, or
// was pinned where libxdp has its pins, so that all is known of it.
func (r *running) stillHeld(ifname string) error {
	for _, s := range r.state.slots {
		if s.linkID == 0 {
			continue
		}
		fd, err := libbpf.LinkByID(s.linkID)
		if err != nil {
			continue
		}
		fd.Close()
		by := "its pins lie where this mount namespace doesn't see them"
		if holders := linkHolders(s.linkID); len(holders) > 0 {
			by = "it is held by " + strings.Join(holders, " and ")
		}
		return &Error{Kind: ErrSystem, Msg: fmt.Sprintf("the chain that was on %s stays loaded: %s", ifname, by),
			Remedy: "it takes no packets; where its pins are seen, xdpmux clean removes them, such as with: nsenter --mount=/proc/1/ns/mnt xdpmux clean"}
	}
	return nil
}

// linkHolders names what keeps a link: pins and processes.
func linkHolders(id uint32) []string {
	var holders []string
	for _, dir := range bpffsMounts() {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil // unreadable: there may be others
			}
			if fd, err := libbpf.ObjGet(path); err == nil {
				if fdLinkID(fmt.Sprintf("/proc/self/fdinfo/%d", fd.Int())) == id {
					holders = append(holders, "the pin "+path)
				}
				fd.Close()
			}
			return nil
		})
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	named := ""
	for _, path := range fds {
		target, err := os.Readlink(path)
		if err != nil || !strings.HasPrefix(target, "anon_inode:bpf") {
			continue
		}
		process := filepath.Dir(filepath.Dir(path))
		if process == named || fdLinkID(filepath.Join(process, "fdinfo", filepath.Base(path))) != id {
			continue
		}
		named = process
		holders = append(holders, processName(process))
	}
	return holders
}

// fdLinkID reads the id of the link behind a descriptor from its fdinfo; 0: it is
// something else.
func fdLinkID(fdinfo string) uint32 {
	text, err := os.ReadFile(fdinfo)
	if err != nil {
		return 0
	}
	return linkIDIn(string(text))
}

// linkIDIn reads the text of /proc/PID/fdinfo/FD (proc_pid_fdinfo(5)).
func linkIDIn(fdinfo string) uint32 { return idIn(fdinfo, "link_id:") }

func idIn(fdinfo, field string) uint32 {
	for line := range strings.Lines(fdinfo) {
		if value, ok := strings.CutPrefix(line, field); ok {
			id, _ := strconv.ParseUint(strings.TrimSpace(value), 10, 32)
			return uint32(id)
		}
	}
	return 0
}

// programHolders finds the other processes that have programs open, by the ids of these.
func programHolders() map[uint32]string {
	holders := map[uint32]string{}
	own := fmt.Sprintf("/proc/%d", os.Getpid())
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, path := range fds {
		process := filepath.Dir(filepath.Dir(path))
		if target, err := os.Readlink(path); err != nil || target != "anon_inode:bpf-prog" || process == own {
			continue
		}
		text, err := os.ReadFile(filepath.Join(process, "fdinfo", filepath.Base(path)))
		if err != nil {
			continue // it has ended, or closed the program
		}
		holders[idIn(string(text), "prog_id:")] = processName(process)
	}
	return holders
}

// processName is what to call a process by its directory in /proc.
func processName(dir string) string {
	comm, _ := os.ReadFile(filepath.Join(dir, "comm"))
	return fmt.Sprintf("process %s (%s)", filepath.Base(dir), strings.TrimSpace(string(comm)))
}
