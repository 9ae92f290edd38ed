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

// RingBuffer reads what programs write to a map of type ringbuf.
type RingBuffer struct {
	ptr    *C.struct_ring_buffer
	handle cgo.Handle
}

// NewRingBuffer reads the map behind fd, and gives each record to f, which may
// use it until it returns. It stands for ring_buffer__new.
func NewRingBuffer(fd int, f func(record []byte)) (*RingBuffer, error) {
	handle := cgo.NewHandle(f)
	ptr, err := C.xm_ring_buffer_new(C.int(fd), C.uintptr_t(handle))
	if err := checkPtr("ring_buffer__new", ptr == nil, err); err != nil {
		handle.Delete()
		return nil, err
	}
	return &RingBuffer{ptr: ptr, handle: handle}, nil
}

// Poll waits until there are records, at most that long, and reads them. It
// returns how many there were; EINTR: a signal came. It stands for
// ring_buffer__poll.
func (r *RingBuffer) Poll(wait time.Duration) (int, error) {
	n := C.ring_buffer__poll(r.ptr, C.int(wait.Milliseconds()))
	return int(max(n, 0)), check("ring_buffer__poll", n)
}

// Consume reads the records that are there and returns how many. It stands for
// ring_buffer__consume.
func (r *RingBuffer) Consume() (int, error) {
	n := C.ring_buffer__consume(r.ptr)
	return int(max(n, 0)), check("ring_buffer__consume", n)
}

// Close stands for ring_buffer__free.
func (r *RingBuffer) Close() error {
	if r != nil && r.ptr != nil {
		C.ring_buffer__free(r.ptr)
		r.ptr = nil
		r.handle.Delete()
	}
	return nil
}

//export xdpmuxRingRecord
func xdpmuxRingRecord(handle C.uintptr_t, data unsafe.Pointer, size C.size_t) {
	cgo.Handle(handle).Value().(func([]byte))(unsafe.Slice((*byte)(data), int(size)))
}
