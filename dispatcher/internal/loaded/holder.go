package loaded

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/proc"
)

// Holders names what keeps a link: pins and processes.
func Holders(id uint32) []string {
	var holders []string
	for _, dir := range proc.BPFFSMounts() {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil // unreadable: there may be others
			}
			if fd, err := libbpf.ObjGet(path); err == nil {
				if proc.FdLinkID(fmt.Sprintf("/proc/self/fdinfo/%d", fd.Int())) == id {
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
		if process == named || proc.FdLinkID(filepath.Join(process, "fdinfo", filepath.Base(path))) != id {
			continue
		}
		named = process
		holders = append(holders, processName(process))
	}
	return holders
}

// ProgramHolders finds the other processes that have programs open, by the ids of these.
func ProgramHolders() map[uint32]string {
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
		holders[proc.IdIn(string(text), "prog_id:")] = processName(process)
	}
	return holders
}

// processName is what to call a process by its directory in /proc.
func processName(dir string) string {
	comm, _ := os.ReadFile(filepath.Join(dir, "comm"))
	return fmt.Sprintf("process %s (%s)", filepath.Base(dir), strings.TrimSpace(string(comm)))
}
