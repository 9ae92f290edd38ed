package libxdp

/*
#include "shim.h"
*/
import "C"

import (
	"sync/atomic"
	"unsafe"
)

// Desc tells of a packet in a receive or transmit ring (struct xdp_desc of linux/if_xdp.h).
type Desc struct {
	Addr    uint64 // where it begins in the umem, in bytes
	Len     uint32 // in bytes
	Options uint32 // XDP_PKT_CONTD, XDP_TX_METADATA
}

// ProdRing is a ring that user space fills and the kernel empties: a fill ring holds
// the addresses of free frames, a transmit ring packets. One goroutine at a time may use
// it. Nothing here calls C.
//
// The size of a ring is a power of two, and an index is taken modulo that size.
type ProdRing struct {
	r *C.struct_xsk_ring_prod // in C's memory: libxdp keeps its address
}

// ConsRing is a ring that the kernel fills and user space empties: a completion ring
// holds the addresses of frames that were sent, a receive ring packets. One goroutine at
// a time may use it. Nothing here calls C.
type ConsRing struct {
	r *C.struct_xsk_ring_cons // likewise
}

func newProdRing() *ProdRing {
	return &ProdRing{(*C.struct_xsk_ring_prod)(C.calloc(1, C.sizeof_struct_xsk_ring_prod))}
}

func newConsRing() *ConsRing {
	return &ConsRing{(*C.struct_xsk_ring_cons)(C.calloc(1, C.sizeof_struct_xsk_ring_cons))}
}

func (p *ProdRing) pointer() *C.struct_xsk_ring_prod {
	if p == nil {
		return nil
	}
	return p.r
}

func (c *ConsRing) pointer() *C.struct_xsk_ring_cons {
	if c == nil {
		return nil
	}
	return c.r
}

func (p *ProdRing) free() {
	if p != nil {
		C.free(unsafe.Pointer(p.r))
		p.r = nil
	}
}

func (c *ConsRing) free() {
	if c != nil {
		C.free(unsafe.Pointer(c.r))
		c.r = nil
	}
}

// shared is a number that the kernel reads or writes at the same time.
func shared(p *C.__u32) *uint32 { return (*uint32)(unsafe.Pointer(p)) }

// at is the entry of that index in a ring of entries of type T.
func at[T any](ring unsafe.Pointer, idx uint32, mask C.__u32) *T {
	return (*T)(unsafe.Add(ring, uintptr(idx&uint32(mask))*unsafe.Sizeof(*new(T))))
}

// Free is how many entries can be reserved. It looks at what the kernel has emptied since
// only if fewer than n are known to be free. It stands for xsk_prod_nb_free.
func (p *ProdRing) Free(n uint32) uint32 {
	if free := uint32(p.r.cached_cons - p.r.cached_prod); free >= n {
		return free
	}
	p.r.cached_cons = C.__u32(atomic.LoadUint32(shared(p.r.consumer))) + p.r.size
	return uint32(p.r.cached_cons - p.r.cached_prod)
}

// Reserve takes n entries, from idx on, which the caller writes and then submits. Where
// fewer are free it takes none, and ok is false. It stands for xsk_ring_prod__reserve.
func (p *ProdRing) Reserve(n uint32) (idx uint32, ok bool) {
	if p.Free(n) < n {
		return 0, false
	}
	idx = uint32(p.r.cached_prod)
	p.r.cached_prod += C.__u32(n)
	return idx, true
}

// Submit hands the next n reserved entries to the kernel. It stands for
// xsk_ring_prod__submit.
func (p *ProdRing) Submit(n uint32) {
	producer := shared(p.r.producer)
	atomic.StoreUint32(producer, *producer+n)
}

// FillAddr is an entry of a fill ring, to be set to the address of a frame in the umem. It
// stands for xsk_ring_prod__fill_addr.
func (p *ProdRing) FillAddr(idx uint32) *uint64 { return at[uint64](p.r.ring, idx, p.r.mask) }

// TxDesc is an entry of a transmit ring, to be set to a packet. It stands for
// xsk_ring_prod__tx_desc.
func (p *ProdRing) TxDesc(idx uint32) *Desc { return at[Desc](p.r.ring, idx, p.r.mask) }

// NeedsWakeup says whether the kernel waits for a system call before it goes on with the
// ring: poll(2), sendto(2) or recvfrom(2) on the socket. Only a socket that is bound with
// [BindUseNeedWakeup] tells. It stands for xsk_ring_prod__needs_wakeup.
func (p *ProdRing) NeedsWakeup() bool {
	return atomic.LoadUint32(shared(p.r.flags))&C.XDP_RING_NEED_WAKEUP != 0
}

// Available is how many entries are there to be read, at most n. It stands for
// xsk_cons_nb_avail.
func (c *ConsRing) Available(n uint32) uint32 {
	entries := uint32(c.r.cached_prod - c.r.cached_cons)
	if entries == 0 {
		c.r.cached_prod = C.__u32(atomic.LoadUint32(shared(c.r.producer)))
		entries = uint32(c.r.cached_prod - c.r.cached_cons)
	}
	return min(entries, n)
}

// Peek takes the entries that are there, at most n, from idx on. The caller reads and then
// releases them. It stands for xsk_ring_cons__peek.
func (c *ConsRing) Peek(n uint32) (got, idx uint32) {
	if got = c.Available(n); got > 0 {
		idx = uint32(c.r.cached_cons)
		c.r.cached_cons += C.__u32(got)
	}
	return got, idx
}

// Cancel puts the last n peeked entries back. It stands for xsk_ring_cons__cancel.
func (c *ConsRing) Cancel(n uint32) { c.r.cached_cons -= C.__u32(n) }

// Release gives the next n peeked entries back to the kernel. It stands for
// xsk_ring_cons__release.
func (c *ConsRing) Release(n uint32) {
	consumer := shared(c.r.consumer)
	atomic.StoreUint32(consumer, *consumer+n)
}

// CompAddr is the address of a frame in the umem, from an entry of a completion ring. It
// stands for xsk_ring_cons__comp_addr.
func (c *ConsRing) CompAddr(idx uint32) uint64 { return *at[uint64](c.r.ring, idx, c.r.mask) }

// RxDesc is a packet, from an entry of a receive ring. It stands for
// xsk_ring_cons__rx_desc.
func (c *ConsRing) RxDesc(idx uint32) Desc { return *at[Desc](c.r.ring, idx, c.r.mask) }

// The address of a packet in an unaligned umem ([UmemUnalignedChunks]) is that of its
// frame, with the offset of the packet in the upper 16 bits.
const (
	offsetShift = C.XSK_UNALIGNED_BUF_OFFSET_SHIFT
	addrMask    = C.XSK_UNALIGNED_BUF_ADDR_MASK
)

// ExtractAddr is the address of the frame, without the offset. It stands for
// xsk_umem__extract_addr.
func ExtractAddr(addr uint64) uint64 { return addr & addrMask }

// ExtractOffset is the offset of the packet in its frame. It stands for
// xsk_umem__extract_offset.
func ExtractOffset(addr uint64) uint64 { return addr >> offsetShift }

// AddOffsetToAddr is where the packet is. It stands for xsk_umem__add_offset_to_addr.
func AddOffsetToAddr(addr uint64) uint64 { return ExtractAddr(addr) + ExtractOffset(addr) }
