package libbpf

/*
#include "shim.h"
*/
import "C"

import "syscall"

// FD owns the descriptor of a program, map, link or BTF. What it stands for lives in the
// kernel as long as any descriptor, pin or attachment of it does.
type FD struct{ fd int }

// NewFD takes over a descriptor, which [FD.Close] closes.
func NewFD(fd int) *FD { return &FD{fd: fd} }

func newFD(op string, ret C.int) (*FD, error) {
	if err := check(op, ret); err != nil {
		return nil, err
	}
	return &FD{fd: int(ret)}, nil
}

// Int is the descriptor, which f still owns. It is -1 once f is closed, and for a nil FD.
func (f *FD) Int() int {
	if f == nil {
		return -1
	}
	return f.fd
}

// Release gives the descriptor to the caller, who closes it from then on.
func (f *FD) Release() int {
	fd := f.fd
	f.fd = -1
	return fd
}

// Close closes the descriptor. It is idempotent and takes a nil FD.
func (f *FD) Close() error {
	if f == nil || f.fd < 0 {
		return nil
	}
	fd := f.fd
	f.fd = -1
	if err := syscall.Close(fd); err != nil {
		return &Error{Op: "close", Errno: err.(syscall.Errno)}
	}
	return nil
}

// ProgByID opens a loaded program. ENOENT: there is none of that id; EPERM:
// CAP_SYS_ADMIN is missing. It stands for bpf_prog_get_fd_by_id.
func ProgByID(id uint32) (*FD, error) {
	return newFD("bpf_prog_get_fd_by_id", C.bpf_prog_get_fd_by_id(C.__u32(id)))
}

// MapByID opens a map. Errors are those of ProgByID. It stands for bpf_map_get_fd_by_id.
func MapByID(id uint32) (*FD, error) {
	return newFD("bpf_map_get_fd_by_id", C.bpf_map_get_fd_by_id(C.__u32(id)))
}

// LinkByID opens a link. Errors are those of ProgByID. It stands for
// bpf_link_get_fd_by_id.
func LinkByID(id uint32) (*FD, error) {
	return newFD("bpf_link_get_fd_by_id", C.bpf_link_get_fd_by_id(C.__u32(id)))
}

// ObjGet opens the program, map or link that is pinned at path. It stands for bpf_obj_get.
func ObjGet(path string) (*FD, error) {
	p := C.CString(path)
	defer freeString(p)
	return newFD("bpf_obj_get", C.bpf_obj_get(p))
}

// ObjGetReadOnly opens a pinned program or map for reading, which a bpffs that is mounted
// read-only allows too. It stands for bpf_obj_get_opts with BPF_F_RDONLY.
func ObjGetReadOnly(path string) (*FD, error) {
	p := C.CString(path)
	defer freeString(p)
	return newFD("bpf_obj_get_opts", C.xm_obj_get(p, C.BPF_F_RDONLY))
}

// ObjPin pins what fd stands for at path, on a bpffs. Removing the file takes the pin away.
// It stands for bpf_obj_pin.
func ObjPin(fd int, path string) error {
	p := C.CString(path)
	defer freeString(p)
	return check("bpf_obj_pin", C.bpf_obj_pin(C.int(fd), p))
}

// NextProgID is the smallest id of a program above id, so that a walk begins with 0.
// ENOENT: there are no more. It stands for bpf_prog_get_next_id.
func NextProgID(id uint32) (uint32, error) {
	var next C.__u32
	err := check("bpf_prog_get_next_id", C.bpf_prog_get_next_id(C.__u32(id), &next))
	return uint32(next), err
}

// NextMapID is the same for maps. It stands for bpf_map_get_next_id.
func NextMapID(id uint32) (uint32, error) {
	var next C.__u32
	err := check("bpf_map_get_next_id", C.bpf_map_get_next_id(C.__u32(id), &next))
	return uint32(next), err
}

// NextLinkID is the same for links. It stands for bpf_link_get_next_id.
func NextLinkID(id uint32) (uint32, error) {
	var next C.__u32
	err := check("bpf_link_get_next_id", C.bpf_link_get_next_id(C.__u32(id), &next))
	return uint32(next), err
}
