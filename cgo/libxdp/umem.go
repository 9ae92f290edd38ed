package libxdp

/*
#include "shim.h"
*/
import "C"

import "github.com/xdpmux/xdpmux/cgo/libbpf"

// libxdp's defaults (xsk.h).
const (
	DefaultRingSize  = C.XSK_RING_CONS__DEFAULT_NUM_DESCS // entries of each ring
	DefaultFrameSize = C.XSK_UMEM__DEFAULT_FRAME_SIZE     // bytes
)

// UmemUnalignedChunks is a flag of [UmemConfig]: frames may begin anywhere in the umem.
const UmemUnalignedChunks = C.XDP_UMEM_UNALIGNED_CHUNK_FLAG

// UmemConfig is how a umem is divided (struct xsk_umem_config). No size has a default: a
// nil *UmemConfig stands for libxdp's.
type UmemConfig struct {
	FillSize      uint32 // entries of the fill ring, a power of two
	CompSize      uint32 // entries of the completion ring, a power of two
	FrameSize     uint32 // bytes
	FrameHeadroom uint32 // bytes at the start of a frame that no packet is put in
	Flags         uint32 // UmemUnalignedChunks

	// TxMetadataLen are the bytes before a packet to be sent that hold its metadata
	// (struct xsk_tx_metadata). Other than 0 needs libxdp 1.5.
	TxMetadataLen uint32
}

func (c *UmemConfig) c() *C.struct_xsk_umem_config {
	if c == nil {
		return nil
	}
	return &C.struct_xsk_umem_config{
		fill_size: C.__u32(c.FillSize), comp_size: C.__u32(c.CompSize),
		frame_size: C.__u32(c.FrameSize), frame_headroom: C.__u32(c.FrameHeadroom), flags: C.__u32(c.Flags),
	}
}

// Umem is the memory that the packets of AF_XDP sockets lie in. Its two rings serve the
// first socket of the umem.
type Umem struct {
	Fill       *ProdRing // addresses of frames that the kernel may put packets in
	Completion *ConsRing // addresses of frames that were sent

	ptr *C.struct_xsk_umem
}

// CreateUmem tells the kernel of the memory. The area begins at a page and isn't Go's
// memory: mmap(2) gives such. It has to stay until Close. A nil config is libxdp's default.
// It stands for xsk_umem__create, and with config.TxMetadataLen for xsk_umem__create_opts.
func CreateUmem(area []byte, config *UmemConfig) (*Umem, error) {
	if config != nil && config.TxMetadataLen != 0 {
		return createUmemOpts(area, config)
	}
	return newUmem("xsk_umem__create", func(u *Umem) C.int {
		return C.xsk_umem__create(&u.ptr, bytesPtr(area), C.__u64(len(area)), u.Fill.r, u.Completion.r, config.c())
	})
}

// CreateUmemWithFD does the same with an AF_XDP socket that the caller has made. The
// socket becomes libxdp's if that succeeds. [*libbpf.UnsupportedError]: libxdp is older
// than 1.4. It stands for xsk_umem__create_with_fd.
func CreateUmemWithFD(fd *libbpf.FD, area []byte, config *UmemConfig) (*Umem, error) {
	const op = "xsk_umem__create_with_fd"
	if !C.xm_has_umem_with_fd() {
		return nil, &libbpf.UnsupportedError{Op: op, Needs: "libxdp 1.4"}
	}
	u, err := newUmem(op, func(u *Umem) C.int {
		return C.xm_umem_with_fd(&u.ptr, C.int(fd.Int()), bytesPtr(area), C.__u64(len(area)), u.Fill.r, u.Completion.r, config.c())
	})
	if err == nil {
		fd.Release()
	}
	return u, err
}

func createUmemOpts(area []byte, config *UmemConfig) (*Umem, error) {
	const op = "xsk_umem__create_opts"
	if !C.xm_has_umem_opts() {
		return nil, &libbpf.UnsupportedError{Op: op, Needs: "libxdp 1.5"}
	}
	opts := C.struct_xm_umem_opts{
		size: C.__u64(len(area)), fill_size: C.__u32(config.FillSize), comp_size: C.__u32(config.CompSize),
		frame_size: C.__u32(config.FrameSize), frame_headroom: C.__u32(config.FrameHeadroom),
		flags: C.__u32(config.Flags), tx_metadata_len: C.__u32(config.TxMetadataLen),
	}
	return newUmem(op, func(u *Umem) (ret C.int) {
		u.ptr = C.xm_umem_opts(bytesPtr(area), u.Fill.r, u.Completion.r, &opts, &ret)
		return ret
	})
}

func newUmem(op string, create func(*Umem) C.int) (*Umem, error) {
	u := &Umem{Fill: newProdRing(), Completion: newConsRing()}
	if err := check(op, create(u)); err != nil {
		u.freeRings()
		return nil, err
	}
	return u, nil
}

func (u *Umem) freeRings() {
	u.Fill.free()
	u.Completion.free()
}

// FD is the descriptor of the umem's socket, borrowed. It stands for xsk_umem__fd.
func (u *Umem) FD() int { return int(C.xsk_umem__fd(u.ptr)) }

// Close lets go of the umem and its rings. EBUSY: a socket uses the umem, which stays as it
// is. It stands for xsk_umem__delete.
func (u *Umem) Close() error {
	if u == nil || u.ptr == nil {
		return nil
	}
	if err := check("xsk_umem__delete", C.xsk_umem__delete(u.ptr)); err != nil {
		return err
	}
	u.ptr = nil
	u.freeRings()
	return nil
}

// GetData is the packet that desc tells of, in a umem's area. An unaligned umem's address
// goes through [AddOffsetToAddr] first. It stands for xsk_umem__get_data.
func GetData(area []byte, desc Desc) []byte {
	return area[desc.Addr:][:desc.Len:desc.Len]
}
