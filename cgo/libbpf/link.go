package libbpf

/*
#include "shim.h"
*/
import "C"

// LinkReplace is a flag of [LinkUpdate].
const LinkReplace uint32 = C.BPF_F_REPLACE

// LinkCreate attaches a loaded program for as long as the link lives: until its last
// descriptor is closed and its last pin removed. With AttachXDP, targetFD is the index of
// an interface and flags are [XDPFlags]. For a program of type ext, targetFD and
// targetBTFID name the program and the function to replace; both 0 mean those it was
// loaded for. It stands for bpf_link_create.
func LinkCreate(progFD, targetFD int, t AttachType, flags, targetBTFID uint32) (*FD, error) {
	return newFD("bpf_link_create", C.xm_link_create(C.int(progFD), C.int(targetFD), C.int(t), C.__u32(flags), C.__u32(targetBTFID)))
}

// LinkUpdate puts another program behind a link. With the flag LinkReplace it does so only
// if the program behind it is that of oldProgFD, which is 0 without the flag. It stands for
// bpf_link_update.
func LinkUpdate(linkFD, progFD int, flags uint32, oldProgFD int) error {
	return check("bpf_link_update", C.xm_link_update(C.int(linkFD), C.int(progFD), C.__u32(flags), C.__u32(oldProgFD)))
}

// LinkDetach detaches the program, and leaves a link without effect. It stands for
// bpf_link_detach.
func LinkDetach(linkFD int) error {
	return check("bpf_link_detach", C.bpf_link_detach(C.int(linkFD)))
}

// TraceAttach attaches a loaded fentry or fexit program to the function it was loaded for,
// by a link. It stands for bpf_raw_tracepoint_open without a name.
func TraceAttach(progFD int) (*FD, error) {
	return newFD("bpf_raw_tracepoint_open", C.bpf_raw_tracepoint_open(nil, C.int(progFD)))
}

// IterCreate begins to go through what the program behind that link iterates over. What the
// program writes is read from the descriptor, as from a file. It stands for bpf_iter_create.
func IterCreate(linkFD int) (*FD, error) {
	return newFD("bpf_iter_create", C.bpf_iter_create(C.int(linkFD)))
}
