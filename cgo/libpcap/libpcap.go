package libpcap

/*
#cgo CFLAGS: -Wall
#cgo LDFLAGS: -lpcap
#include <stdlib.h>
#include <pcap/pcap.h>
*/
import "C"

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Error is why a filter can't be compiled.
type Error struct {
	Text string // of pcap_geterr
}

func (e *Error) Error() string { return e.Text }

// Compile makes a program of a filter for Ethernet frames. It returns snapLen for a packet that
// the filter takes, in bytes, and 0 for others. netmask is that of the network in which ip
// broadcast looks, in network byte order. It stands for pcap_compile(3) with optimization.
func Compile(filter string, snapLen int, netmask uint32) ([]unix.SockFilter, error) {
	text := C.CString(filter)
	defer C.free(unsafe.Pointer(text))
	p := C.pcap_open_dead(C.DLT_EN10MB, C.int(snapLen))
	if p == nil {
		return nil, unix.ENOMEM
	}
	defer C.pcap_close(p)
	var program C.struct_bpf_program
	if C.pcap_compile(p, &program, text, 1, C.bpf_u_int32(netmask)) != 0 {
		return nil, &Error{C.GoString(C.pcap_geterr(p))}
	}
	defer C.pcap_freecode(&program)
	instructions := unsafe.Slice(program.bf_insns, program.bf_len)
	result := make([]unix.SockFilter, len(instructions))
	for i, in := range instructions {
		result[i] = unix.SockFilter{Code: uint16(in.code), Jt: uint8(in.jt), Jf: uint8(in.jf), K: uint32(in.k)}
	}
	return result, nil
}

// Match says whether a program that [Compile] made takes a packet of length bytes, of which
// packet is the beginning. It stands for bpf_filter of libpcap.
func Match(program []unix.SockFilter, packet []byte, length int) bool {
	if len(program) == 0 {
		return true
	}
	// The two structures are the same (struct bpf_insn, struct sock_filter).
	in := (*C.struct_bpf_insn)(unsafe.Pointer(unsafe.SliceData(program)))
	data := (*C.u_char)(unsafe.Pointer(unsafe.SliceData(packet)))
	return C.bpf_filter(in, data, C.u_int(length), C.u_int(len(packet))) != 0
}
