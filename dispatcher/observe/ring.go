package observe

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// ring is a map of type ringbuf, in the memory that the kernel shares
// (Documentation/bpf/ringbuf.rst). libbpf's ring_buffer__poll goes on as long as further records
// come: under a flood it never returns, and it calls back through C for each record.
type ring struct {
	fd       *libbpf.FD
	consumed *atomic.Uint64 // bytes, by us
	produced *atomic.Uint64 // bytes, by the kernel
	data     []byte         // twice in a row, so that each record is in one piece
	mask     uint64
	pages    [2][]byte // what is mapped

	// Of rings, in bytes:
	end    uint64 // that of the round
	walked uint64 // whose records are known
	needed uint64 // what is behind is needed still
}

// The header of a record.
const (
	ringHeader  = 8
	ringBusy    = 1 << 31 // a CPU is still writing it
	ringDiscard = 1 << 30
)

// openRing makes a map of so many bytes.
func openRing(size int) (_ *ring, err error) {
	r := &ring{mask: uint64(size) - 1}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if r.fd, err = libbpf.CreateMap(libbpf.MapTypeRingBuf, "ring", 0, 0, size, 0); err != nil {
		return nil, err
	}
	page := os.Getpagesize()
	for i, m := range []struct{ at, size, rights int }{
		{0, page, unix.PROT_READ | unix.PROT_WRITE},
		{page, page + 2*size, unix.PROT_READ},
	} {
		if r.pages[i], err = unix.Mmap(r.fd.Int(), int64(m.at), m.size, m.rights, unix.MAP_SHARED); err != nil {
			return nil, os.NewSyscallError("mmap", err)
		}
	}
	r.consumed = (*atomic.Uint64)(unsafe.Pointer(&r.pages[0][0]))
	r.produced = (*atomic.Uint64)(unsafe.Pointer(&r.pages[1][0]))
	r.data = r.pages[1][page:]
	return r, nil
}

// header is the size of the record at a place, and what is up with it.
func (r *ring) header(at uint64) uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&r.data[at&r.mask])).Load()
}

func (r *ring) record(at uint64) []byte {
	return r.data[at&r.mask+ringHeader:][:r.header(at)]
}

// walk adds the records up to the end to records. It returns false if one isn't written yet.
func (r *ring) walk(records *[]ringRecord) bool {
	for r.walked != r.end {
		header := r.header(r.walked)
		if header&ringBusy != 0 {
			return false
		}
		if header&ringDiscard == 0 {
			*records = append(*records, ringRecord{time: binary.NativeEndian.Uint64(r.record(r.walked)), in: r, at: r.walked})
		}
		r.walked += (ringHeader + uint64(header&^ringDiscard) + 7) &^ 7
	}
	return true
}

// close is idempotent.
func (r *ring) close() error {
	errs := []error{r.fd.Close()}
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
