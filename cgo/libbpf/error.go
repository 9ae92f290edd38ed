package libbpf

/*
#include "shim.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// Error is the failure of one C call.
type Error struct {
	Op    string        // the C call, such as "bpf_object__load"
	Errno syscall.Errno // an errno, or one of libbpf's own numbers from 4000 up
	Log   string        // the verifier's log, where the call loaded a program
}

// Error gives the call and the reason, without the verifier's log.
func (e *Error) Error() string { return e.Op + ": " + Strerror(e.Errno) }

// Unwrap gives the errno, so that errors.Is(err, syscall.ENOENT) works.
func (e *Error) Unwrap() error { return e.Errno }

// Numbers that libbpf uses beside the system's (enum libbpf_errno).
const (
	ErrnoLibELF   syscall.Errno = C.LIBBPF_ERRNO__LIBELF   // libelf couldn't read the file
	ErrnoFormat   syscall.Errno = C.LIBBPF_ERRNO__FORMAT   // the object isn't as libbpf wants it
	ErrnoEndian   syscall.Errno = C.LIBBPF_ERRNO__ENDIAN   // the object is of the other byte order
	ErrnoInternal syscall.Errno = C.LIBBPF_ERRNO__INTERNAL // libbpf contradicts itself
	ErrnoReloc    syscall.Errno = C.LIBBPF_ERRNO__RELOC    // a relocation failed
	ErrnoVerify   syscall.Errno = C.LIBBPF_ERRNO__VERIFY   // the verifier refused the program
)

// UnsupportedError says that the libbpf that the binary was built with, or the libxdp that
// is in use, is too old for a call.
type UnsupportedError struct {
	Op    string // the C call
	Needs string // what has it, such as "libbpf 1.2"
}

// Error names the call and what has it.
func (e *UnsupportedError) Error() string { return e.Op + ": needs " + e.Needs }

// Is lets errors.Is(err, errors.ErrUnsupported) work.
func (e *UnsupportedError) Is(target error) bool { return target == errors.ErrUnsupported }

// Strerror is the text of an errno, libbpf's own included. It stands for
// libbpf_strerror.
func Strerror(errno syscall.Errno) string {
	if errno < 4000 {
		return errno.Error()
	}
	var buf [128]C.char
	if C.libbpf_strerror(C.int(errno), &buf[0], C.size_t(len(buf))) != 0 {
		return fmt.Sprintf("libbpf error %d", int(errno))
	}
	return strings.TrimSpace(C.GoString(&buf[0]))
}

// check turns libbpf's "0 or more, or a negative errno" into an error.
func check(op string, ret C.int) error {
	if ret >= 0 {
		return nil
	}
	return &Error{Op: op, Errno: syscall.Errno(-ret)}
}

// checkPtr turns libbpf's "NULL and errno" into an error. err is what cgo read from errno:
// after a success it means nothing.
func checkPtr(op string, isNil bool, err error) error {
	if !isNil {
		return nil
	}
	errno, ok := err.(syscall.Errno)
	if !ok {
		errno = syscall.EINVAL // libbpf said no without saying why
	}
	return &Error{Op: op, Errno: errno}
}
