// Package flock waits for a lock of flock(2) as long as a context lasts, and tells who
// holds it.
package flock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// How long Lock waits before it asks for a lock again, at first and at most.
const (
	firstWait = time.Millisecond
	longWait  = 50 * time.Millisecond
)

// inode is a file, however it was opened.
type inode struct{ dev, ino uint64 }

// deserted are threads that wait in flock(2) for a caller who has given up, by the file that
// they wait for. Nothing that a Go program may send to such a thread ends its wait.
var deserted struct {
	sync.Mutex
	threads map[inode]chan error
}

// Lock takes the exclusive lock on the file behind fd. While another process holds the lock,
// Lock waits in one line with all that wait in flock(2). If ctx ends before its turn comes,
// Lock returns the error of ctx, and fd is only good to be closed. A lock that is free is
// taken even if ctx has ended.
func Lock(ctx context.Context, fd int) error {
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil || !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		var file unix.Stat_t
		if err := unix.Fstat(fd, &file); err != nil {
			return err
		}
		key := inode{file.Dev, file.Ino}
		deserted.Lock()
		_, waits := deserted.threads[key]
		deserted.Unlock()
		if !waits {
			return waitInLine(ctx, fd, key)
		}
		// One deserted thread is enough, so Lock asks from time to time instead of waiting in
		// line. The thread ends when it gets the lock.
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// waitInLine has a thread wait in flock(2). The thread has a descriptor of its own for the
// open file. A caller who gives up closes the other one, so that closing this one lets go of
// the lock.
func waitInLine(ctx context.Context, fd int, key inode) error {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		err := flock(own)
		deserted.Lock()
		defer deserted.Unlock()
		done <- err
		if deserted.threads[key] == done {
			delete(deserted.threads, key)
			_ = unix.Flock(own, unix.LOCK_UN)
		}
		unix.Close(own)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	deserted.Lock()
	defer deserted.Unlock()
	if len(done) == 0 {
		if deserted.threads == nil {
			deserted.threads = map[inode]chan error{}
		}
		deserted.threads[key] = done
	}
	return ctx.Err()
}

func flock(fd int) error {
	for {
		if err := unix.Flock(fd, unix.LOCK_EX); err != unix.EINTR {
			return err
		}
	}
}

// Holder names the process that holds a lock on the file behind fd, such as
// "process 12 (xdpmux)"; empty: nobody does, or it can't be found out.
func Holder(fd int) string {
	var file unix.Stat_t
	if err := unix.Fstat(fd, &file); err != nil {
		return ""
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return ""
	}
	pid, found := holderIn(string(locks), unix.Major(file.Dev), unix.Minor(file.Dev), file.Ino)
	switch {
	case !found:
		return ""
	case pid <= 0: // the kernel has no number for it here
		return "a process of another PID namespace"
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil { // a child that has inherited the descriptor goes on holding the lock
		return fmt.Sprintf("process %d, or a child of it", pid)
	}
	return fmt.Sprintf("process %d (%s)", pid, strings.TrimSpace(string(comm)))
}

// holderIn reads the text of /proc/locks (proc_locks(5)): "1: FLOCK  ADVISORY  WRITE
// 1234 00:2a:5678 0 EOF". Those that wait have "->" after the first field.
func holderIn(locks string, major, minor uint32, inode uint64) (pid int, found bool) {
	const kind, process, file = 1, 4, 5
	for line := range strings.Lines(locks) {
		fields := strings.Fields(line)
		if len(fields) <= file || fields[kind] != "FLOCK" || fields[file] != fmt.Sprintf("%02x:%02x:%d", major, minor, inode) {
			continue
		}
		pid, err := strconv.Atoi(fields[process])
		return pid, err == nil
	}
	return 0, false
}
