package libxdp

/*
#include "shim.h"
*/
import "C"

import "github.com/xdpmux/xdpmux/cgo/libbpf"

// Directions say which of the rings RX and TX a socket has.
type Directions int

// A socket receives, sends, or does both.
const (
	RXTX Directions = iota
	RXOnly
	TXOnly
)

// InhibitProgLoad, in SocketConfig.LibxdpFlags, has libxdp load no program. The socket gets
// packets once a program redirects them to an XSKMAP that it is in: see
// [Socket.UpdateXSKMap].
const InhibitProgLoad = C.XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD

// What SocketConfig.BindFlags may have (linux/if_xdp.h). Without BindCopy or BindZeroCopy,
// the kernel takes zero copy where the driver knows it.
const (
	BindCopy          = C.XDP_COPY
	BindZeroCopy      = C.XDP_ZEROCOPY
	BindUseNeedWakeup = C.XDP_USE_NEED_WAKEUP // see ProdRing.NeedsWakeup
)

// SocketConfig is how a socket is made (struct xsk_socket_config). No size has a default:
// a nil *SocketConfig stands for libxdp's.
type SocketConfig struct {
	Directions  Directions
	RXSize      uint32 // entries of the receive ring, a power of two
	TXSize      uint32 // entries of the transmit ring, a power of two
	LibxdpFlags uint32 // InhibitProgLoad
	XDPFlags    uint32 // the mode of the program that libxdp loads, such as libbpf.XDPSKB
	BindFlags   uint16 // BindCopy and others
}

// Socket is an AF_XDP socket on one queue of an interface. Its umem has to live longer.
type Socket struct {
	RX *ConsRing // packets that have come; nil for TXOnly
	TX *ProdRing // packets to be sent; nil for RXOnly

	// Rings of its own, of a socket on a shared umem. They are nil for the first socket
	// of a umem, which uses the umem's.
	Fill       *ProdRing
	Completion *ConsRing

	ptr *C.struct_xsk_socket
}

// CreateSocket makes a socket and binds it to a queue of an interface. Without
// InhibitProgLoad, libxdp adds a program to the interface's chain, with priority 20, and
// enters the socket in that program's XSKMAP. A nil config is libxdp's default, for both
// directions. It stands for xsk_socket__create.
func CreateSocket(ifname string, queue uint32, umem *Umem, config *SocketConfig) (*Socket, error) {
	return newSocket("xsk_socket__create", config, false, func(s *Socket, c *C.struct_xsk_socket_config) C.int {
		name := cString(ifname)
		defer freeString(name)
		return C.xsk_socket__create(&s.ptr, name, C.__u32(queue), umem.ptr, s.RX.pointer(), s.TX.pointer(), c)
	})
}

// CreateSharedSocket does the same with a umem that another socket uses already. The new
// one gets a fill and a completion ring of its own. It stands for
// xsk_socket__create_shared.
func CreateSharedSocket(ifname string, queue uint32, umem *Umem, config *SocketConfig) (*Socket, error) {
	return newSocket("xsk_socket__create_shared", config, true, func(s *Socket, c *C.struct_xsk_socket_config) C.int {
		name := cString(ifname)
		defer freeString(name)
		return C.xsk_socket__create_shared(&s.ptr, name, C.__u32(queue), umem.ptr, s.RX.pointer(), s.TX.pointer(),
			s.Fill.pointer(), s.Completion.pointer(), c)
	})
}

// CreateSocketOpts does what CreateSocket does, and with own what CreateSharedSocket does.
// [*libbpf.UnsupportedError]: libxdp is older than 1.5. It stands for
// xsk_socket__create_opts.
func CreateSocketOpts(ifname string, queue uint32, umem *Umem, config *SocketConfig, own bool) (*Socket, error) {
	const op = "xsk_socket__create_opts"
	if !C.xm_has_socket_opts() {
		return nil, &libbpf.UnsupportedError{Op: op, Needs: "libxdp 1.5"}
	}
	return newSocket(op, config, own, func(s *Socket, c *C.struct_xsk_socket_config) (ret C.int) {
		name := cString(ifname)
		defer freeString(name)
		opts := C.struct_xm_socket_opts{rx: s.RX.pointer(), tx: s.TX.pointer(), fill: s.Fill.pointer(), comp: s.Completion.pointer()}
		if config != nil {
			opts.rx_size, opts.tx_size = C.__u32(config.RXSize), C.__u32(config.TXSize)
			opts.libxdp_flags, opts.xdp_flags = C.__u32(config.LibxdpFlags), C.__u32(config.XDPFlags)
			opts.bind_flags = C.__u16(config.BindFlags)
		}
		s.ptr = C.xm_socket_opts(name, C.__u32(queue), umem.ptr, &opts, &ret)
		return ret
	})
}

func newSocket(op string, config *SocketConfig, own bool, create func(*Socket, *C.struct_xsk_socket_config) C.int) (*Socket, error) {
	s := &Socket{}
	var directions Directions
	var c *C.struct_xsk_socket_config
	if config != nil {
		directions = config.Directions
		value := C.xm_socket_config(C.__u32(config.RXSize), C.__u32(config.TXSize),
			C.__u32(config.LibxdpFlags), C.__u32(config.XDPFlags), C.__u16(config.BindFlags))
		c = &value
	}
	if directions != TXOnly {
		s.RX = newConsRing()
	}
	if directions != RXOnly {
		s.TX = newProdRing()
	}
	if own {
		s.Fill, s.Completion = newProdRing(), newConsRing()
	}
	if err := check(op, create(s, c)); err != nil {
		s.freeRings()
		return nil, err
	}
	return s, nil
}

func (s *Socket) freeRings() {
	s.RX.free()
	s.TX.free()
	s.Fill.free()
	s.Completion.free()
}

// FD is the socket's descriptor, borrowed, for poll(2), sendto(2) and recvfrom(2). It
// stands for xsk_socket__fd.
func (s *Socket) FD() int { return int(C.xsk_socket__fd(s.ptr)) }

// UpdateXSKMap enters the socket in an XSKMAP at its queue. It stands for
// xsk_socket__update_xskmap.
func (s *Socket) UpdateXSKMap(mapFD int) error {
	return check("xsk_socket__update_xskmap", C.xsk_socket__update_xskmap(s.ptr, C.int(mapFD)))
}

// Close lets go of the socket and its rings. With the last socket of an interface, libxdp
// takes its program out of the chain. It stands for xsk_socket__delete.
func (s *Socket) Close() error {
	if s != nil && s.ptr != nil {
		C.xsk_socket__delete(s.ptr)
		s.ptr = nil
		s.freeRings()
	}
	return nil
}

// SetupXDPProg adds libxdp's own program to the interface's chain, unless it is there, and
// returns its XSKMAP, which the caller closes. It stands for xsk_setup_xdp_prog.
func SetupXDPProg(ifindex int) (*libbpf.FD, error) {
	var fd C.int
	if err := check("xsk_setup_xdp_prog", C.xsk_setup_xdp_prog(C.int(ifindex), &fd)); err != nil {
		return nil, err
	}
	return libbpf.NewFD(int(fd)), nil
}
