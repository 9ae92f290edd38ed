package observe

import (
	"errors"
	"math/bits"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// ring reads the records of a map of type ringbuf, in the memory that the kernel shares
// (Documentation/bpf/ringbuf.rst). libbpf's ring_buffer__poll goes on as long as further records
// come: under a flood it never returns, and it calls back through C for each record.
type ring struct {
	epoll    *libbpf.FD
	more     bool           // read hasn't come to the end
	consumed *atomic.Uint64 // bytes, by us
	produced *atomic.Uint64 // bytes, by the kernel
	data     []byte         // twice in a row, so that each record is in one piece
	mask     uint64
	pages    [2][]byte // what is mapped
}

// The header of a record.
const (
	ringHeader  = 8
	ringBusy    = 1 << 31 // a CPU is still writing it
	ringDiscard = 1 << 30
)

func openRing(fd int) (_ *ring, err error) {
	info, err := libbpf.MapInfoByFD(fd)
	if err != nil {
		return nil, err
	}
	r := &ring{mask: uint64(info.MaxEntries) - 1}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	page := os.Getpagesize()
	for i, m := range []struct{ at, size, rights int }{
		{0, page, unix.PROT_READ | unix.PROT_WRITE},
		{page, page + 2*int(info.MaxEntries), unix.PROT_READ},
	} {
		if r.pages[i], err = unix.Mmap(fd, int64(m.at), m.size, m.rights, unix.MAP_SHARED); err != nil {
			return nil, os.NewSyscallError("mmap", err)
		}
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	r.epoll = libbpf.NewFD(epoll)
	// Edges: else every record would end the wait.
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	r.consumed = (*atomic.Uint64)(unsafe.Pointer(&r.pages[0][0]))
	r.produced = (*atomic.Uint64)(unsafe.Pointer(&r.pages[1][0]))
	r.data = r.pages[1][page:]
	return r, nil
}

// wait waits until the probes wake the reader up, which they do when many records are there, and no
// longer than wait. Without many, records wait so long.
func (r *ring) wait(wait time.Duration) error {
	if r.more {
		return nil
	}
	_, err := unix.EpollWait(r.epoll.Int(), make([]unix.EpollEvent, 1), int(wait.Milliseconds()))
	if err == unix.EINTR {
		return nil
	}
	return os.NewSyscallError("epoll_wait", err)
}

// read calls f with the records that are there, limit at most. f may use a record until it returns.
func (r *ring) read(limit int, f func(record []byte)) {
	defer func() { r.more = limit == 0 }()
	for at := r.consumed.Load(); limit > 0 && at != r.produced.Load(); r.consumed.Store(at) {
		record := r.data[at&r.mask:]
		header := (*atomic.Uint32)(unsafe.Pointer(&record[0])).Load()
		if header&ringBusy != 0 {
			return
		}
		size := uint64(header &^ ringDiscard)
		if header&ringDiscard == 0 {
			f(record[ringHeader:][:size])
			limit--
		}
		at += (ringHeader + size + 7) &^ 7
	}
}

// close is idempotent, and takes a nil ring.
func (r *ring) close() error {
	if r == nil {
		return nil
	}
	errs := []error{r.epoll.Close()}
	for i, page := range r.pages {
		if page != nil {
			errs = append(errs, os.NewSyscallError("munmap", unix.Munmap(page)))
			r.pages[i] = nil
		}
	}
	return errors.Join(errs...)
}

// ringSize is the size of the map that has room for so many bytes: a power of two, of whole pages.
func ringSize(bytes int) int { return max(os.Getpagesize(), 1<<bits.Len(uint(bytes-1))) }
