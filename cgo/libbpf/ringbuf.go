package libbpf

/*
#include "shim.h"
*/
import "C"

import (
	"runtime/cgo"
	"time"
	"unsafe"
)

// RingBuffer reads what programs write to maps of type ringbuf. One goroutine at a time may
// use it.
type RingBuffer struct {
	ptr     *C.struct_ring_buffer
	handles []cgo.Handle
}

// NewRingBuffer prepares to read the map behind fd. [RingBuffer.Poll] and
// [RingBuffer.Consume] then call f with each record. The record is libbpf's memory: f may
// use it until it returns. It stands for ring_buffer__new.
func NewRingBuffer(fd int, f func(record []byte)) (*RingBuffer, error) {
	handle := cgo.NewHandle(f)
	ptr, err := C.xm_ring_buffer_new(C.int(fd), C.uintptr_t(handle))
	if err := checkPtr("ring_buffer__new", ptr == nil, err); err != nil {
		handle.Delete()
		return nil, err
	}
	return &RingBuffer{ptr: ptr, handles: []cgo.Handle{handle}}, nil
}

// Add has one more map read, with a function of its own. It stands for ring_buffer__add.
func (r *RingBuffer) Add(fd int, f func(record []byte)) error {
	handle := cgo.NewHandle(f)
	if err := check("ring_buffer__add", C.xm_ring_buffer_add(r.ptr, C.int(fd), C.uintptr_t(handle))); err != nil {
		handle.Delete()
		return err
	}
	r.handles = append(r.handles, handle)
	return nil
}

// EpollFD is a descriptor, borrowed, that can be read from while there are records: for
// who waits for other things too, and then calls Consume. It stands for
// ring_buffer__epoll_fd.
func (r *RingBuffer) EpollFD() int { return int(C.ring_buffer__epoll_fd(r.ptr)) }

// Poll waits until there are records, and reads them. It waits no longer than wait, in
// whole milliseconds; a negative wait has no end. It returns how many records there were.
// EINTR: a signal came. It stands for ring_buffer__poll.
func (r *RingBuffer) Poll(wait time.Duration) (int, error) {
	n := C.ring_buffer__poll(r.ptr, C.int(wait.Milliseconds()))
	return int(max(n, 0)), check("ring_buffer__poll", n)
}

// Consume reads the records that are there, without waiting, and returns how many there
// were. It stands for ring_buffer__consume.
func (r *RingBuffer) Consume() (int, error) {
	n := C.ring_buffer__consume(r.ptr)
	return int(max(n, 0)), check("ring_buffer__consume", n)
}

// Close frees the ring buffer; its maps stay. It stands for ring_buffer__free.
func (r *RingBuffer) Close() error {
	if r != nil && r.ptr != nil {
		C.ring_buffer__free(r.ptr)
		r.ptr = nil
		for _, handle := range r.handles {
			handle.Delete()
		}
	}
	return nil
}

//export xdpmuxRingRecord
func xdpmuxRingRecord(handle C.uintptr_t, data unsafe.Pointer, size C.size_t) {
	cgo.Handle(handle).Value().(func([]byte))(unsafe.Slice((*byte)(data), int(size)))
}
