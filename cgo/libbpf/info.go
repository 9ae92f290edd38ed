package libbpf

/*
#include "shim.h"
*/
import "C"

import (
	"encoding/hex"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// Tag is the kernel's hash of a program's instructions. Programs with the same
// instructions have the same one.
type Tag [8]byte

// String is the tag as every tool prints it: 16 hexadecimal digits.
func (t Tag) String() string { return hex.EncodeToString(t[:]) }

// ProgInfo is what the kernel knows of a loaded program (struct bpf_prog_info).
type ProgInfo struct {
	ID              uint32
	Type            ProgType
	Name            string // cut to 15 characters by the kernel
	Tag             Tag
	LoadTime        time.Duration // since boot
	CreatedByUID    uint32
	MapIDs          []uint32
	Ifindex         int    // of the device that the program is offloaded to; 0: none
	BTFID           uint32 // for LoadBTF; 0: it has no type information
	GPLCompatible   bool
	RunTime         time.Duration // counted while kernel.bpf_stats_enabled is on
	RunCount        uint64
	Misses          uint64 // runs left out, as the program ran on that CPU already
	VerifiedInsns   uint32
	TranslatedBytes uint32
	JITedBytes      uint32
}

func infoByFD[T any](fd int, info *T) error {
	size := C.__u32(unsafe.Sizeof(*info))
	return check("bpf_obj_get_info_by_fd", C.bpf_obj_get_info_by_fd(C.int(fd), unsafe.Pointer(info), &size))
}

// ProgInfoByFD asks the kernel about a program. It stands for bpf_obj_get_info_by_fd.
func ProgInfoByFD(fd int) (*ProgInfo, error) {
	// The kernel fills an array only when it is told its length. Few programs have more maps than
	// there is room for, so one call is enough.
	ids := make([]uint32, 16)
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&ids[0])
	c := C.struct_bpf_prog_info{nr_map_ids: C.__u32(len(ids)), map_ids: C.__u64(uintptr(unsafe.Pointer(&ids[0])))}
	if err := infoByFD(fd, &c); err != nil {
		return nil, err
	}
	p := &ProgInfo{
		ID:              uint32(c.id),
		Type:            ProgType(c._type),
		Name:            C.GoString(&c.name[0]),
		LoadTime:        time.Duration(c.load_time),
		CreatedByUID:    uint32(c.created_by_uid),
		Ifindex:         int(c.ifindex),
		BTFID:           uint32(c.btf_id),
		GPLCompatible:   C.xm_prog_gpl(&c) != 0,
		RunTime:         time.Duration(c.run_time_ns),
		RunCount:        uint64(c.run_cnt),
		Misses:          uint64(c.recursion_misses),
		VerifiedInsns:   uint32(c.verified_insns),
		TranslatedBytes: uint32(c.xlated_prog_len),
		JITedBytes:      uint32(c.jited_prog_len),
	}
	for i := range p.Tag {
		p.Tag[i] = byte(c.tag[i])
	}
	if int(c.nr_map_ids) > len(ids) {
		ids = make([]uint32, c.nr_map_ids)
		pin.Pin(&ids[0])
		// What else it was asked for has to be zero in the second call.
		c = C.struct_bpf_prog_info{nr_map_ids: c.nr_map_ids, map_ids: C.__u64(uintptr(unsafe.Pointer(&ids[0])))}
		if err := infoByFD(fd, &c); err != nil {
			return nil, err
		}
	}
	if c.nr_map_ids > 0 {
		p.MapIDs = ids[:min(len(ids), int(c.nr_map_ids))]
	}
	return p, nil
}

// ProgInsns are the instructions of a loaded program as the kernel has translated them, 8
// bytes each. Addresses are 0 where the kernel hides them. It stands for
// bpf_obj_get_info_by_fd.
func ProgInsns(fd int) ([]byte, error) {
	var c C.struct_bpf_prog_info
	if err := infoByFD(fd, &c); err != nil {
		return nil, err
	}
	insns := make([]byte, c.xlated_prog_len)
	if len(insns) == 0 {
		return nil, nil
	}
	c = C.struct_bpf_prog_info{xlated_prog_len: C.__u32(len(insns))}
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&insns[0])
	c.xlated_prog_insns = C.__u64(uintptr(unsafe.Pointer(&insns[0])))
	err := infoByFD(fd, &c)
	return insns, err
}

// MapInfo is what the kernel knows of a map (struct bpf_map_info).
type MapInfo struct {
	ID             uint32
	Type           MapType
	Name           string // cut to 15 characters by the kernel
	KeySize        int    // bytes
	ValueSize      int    // bytes, of one CPU's value
	MaxEntries     int
	Flags          uint32
	Ifindex        int
	BTFID          uint32 // 0: no type information
	BTFKeyTypeID   uint32
	BTFValueTypeID uint32
}

// MapInfoByFD asks the kernel about a map. It stands for bpf_obj_get_info_by_fd.
func MapInfoByFD(fd int) (*MapInfo, error) {
	var c C.struct_bpf_map_info
	if err := infoByFD(fd, &c); err != nil {
		return nil, err
	}
	return &MapInfo{
		ID:             uint32(c.id),
		Type:           MapType(c._type),
		Name:           C.GoString(&c.name[0]),
		KeySize:        int(c.key_size),
		ValueSize:      int(c.value_size),
		MaxEntries:     int(c.max_entries),
		Flags:          uint32(c.map_flags),
		Ifindex:        int(c.ifindex),
		BTFID:          uint32(c.btf_id),
		BTFKeyTypeID:   uint32(c.btf_key_type_id),
		BTFValueTypeID: uint32(c.btf_value_type_id),
	}, nil
}

// LinkType is the kernel's type of a link (enum bpf_link_type).
type LinkType uint32

// The types of the links of chains; any other number of the kernel's is as good. A link
// of a program of type ext is a tracing link.
const (
	LinkTypeTracing LinkType = C.BPF_LINK_TYPE_TRACING
	LinkTypeXDP     LinkType = C.BPF_LINK_TYPE_XDP
)

// LinkInfo is what the kernel knows of a link (struct bpf_link_info).
type LinkInfo struct {
	ID     uint32
	Type   LinkType
	ProgID uint32

	// Of LinkTypeXDP.
	Ifindex int // 0: the link was detached, or its interface is gone

	// Of LinkTypeTracing.
	AttachType      AttachType
	TargetProgID    uint32 // the program that is replaced or traced
	TargetBTFTypeID uint32 // the function in it, by its id in that program's BTF
}

// LinkInfoByFD asks the kernel about a link. It stands for bpf_obj_get_info_by_fd.
func LinkInfoByFD(fd int) (*LinkInfo, error) {
	var c C.struct_bpf_link_info
	if err := infoByFD(fd, &c); err != nil {
		return nil, err
	}
	l := &LinkInfo{ID: uint32(c.id), Type: LinkType(c._type), ProgID: uint32(c.prog_id)}
	switch l.Type {
	case LinkTypeXDP:
		l.Ifindex = int(C.xm_link_xdp_ifindex(&c))
	case LinkTypeTracing:
		l.AttachType = AttachType(C.xm_link_attach_type(&c))
		l.TargetProgID = uint32(C.xm_link_target_obj(&c))
		l.TargetBTFTypeID = uint32(C.xm_link_target_btf(&c))
	}
	return l, nil
}

// ProgFuncType is the id, in the program's BTF, of the type of its main function. ENOENT:
// it has no BTF. It stands for bpf_obj_get_info_by_fd.
func ProgFuncType(fd int) (uint32, error) {
	var c C.struct_bpf_prog_info
	if err := infoByFD(fd, &c); err != nil {
		return 0, err
	}
	if c.nr_func_info == 0 || c.func_info_rec_size < C.sizeof_struct_bpf_func_info {
		return 0, &Error{Op: "bpf_obj_get_info_by_fd", Errno: syscall.ENOENT}
	}
	// The main function is the first; room for one record is enough.
	rec := make([]byte, c.func_info_rec_size)
	c = C.struct_bpf_prog_info{nr_func_info: 1, func_info_rec_size: C.__u32(len(rec))}
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&rec[0])
	c.func_info = C.__u64(uintptr(unsafe.Pointer(&rec[0])))
	if err := infoByFD(fd, &c); err != nil {
		return 0, err
	}
	return uint32((*C.struct_bpf_func_info)(unsafe.Pointer(&rec[0])).type_id), nil
}
