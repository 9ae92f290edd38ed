// Package objectfile reads BPF object files in Go before a C library sees them. libelf,
// libbpf and libxdp take much of what a file says on trust: a file that says something
// else makes them read or write beyond their memory, or run in circles. [Parse] refuses
// such files. It refuses no more than that, so that whatever a compiler or linker makes
// passes; what is left to be wrong, libbpf and the kernel say.
//
// The package makes no system call and keeps no copy of the file.
package objectfile

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// What is wrong with a file; the Fault of an [Error].
var (
	ErrNotELF    = errors.New("not an ELF object")
	ErrMachine   = errors.New("for another machine")
	ErrByteOrder = errors.New("of another byte order")
	ErrTruncated = errors.New("truncated")
	ErrDamaged   = errors.New("damaged")
	ErrTooLarge  = errors.New("too large")
	ErrNoBTF     = errors.New("without type information for its maps")
	ErrOldMaps   = errors.New("with maps as they were before libbpf 1.0")
	ErrConfig    = errors.New("unusable run configuration")
)

// Error says why a file is refused.
type Error struct {
	Fault   error  // one of the Err variables above
	Detail  string // such as "section .BTF: type 3 refers to type 90"; empty: the fault says all
	Machine uint16 // e_machine, with ErrMachine
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Fault.Error()
	}
	return fmt.Sprintf("%v: %s", e.Fault, e.Detail)
}

// Unwrap gives the fault.
func (e *Error) Unwrap() error { return e.Fault }

func damaged(format string, args ...any) error {
	return &Error{Fault: ErrDamaged, Detail: fmt.Sprintf(format, args...)}
}

func tooLarge(format string, args ...any) error {
	return &Error{Fault: ErrTooLarge, Detail: fmt.Sprintf(format, args...)}
}

// Limits of what a file may ask the C libraries to do. Some of their loops are
// quadratic, and some recursions as deep as the file says.
const (
	maxSections  = 4096
	maxSymbols   = 1 << 18
	maxFunctions = 1 << 13 // subprograms can call each other that deep
	maxCode      = 64 << 20
	maxVariables = 128 << 20 // bytes of global variables, which libbpf maps
	maxLookups   = 1 << 26   // pairs of things of which libbpf compares each with each
)

// File is an object file that the C libraries can be given.
type File struct {
	BTF *BTF // nil: it has none

	data     []byte
	sections []section
	symbols  []symbol
	names    []byte // of the symbols
	text     int    // index of .text; 0: there is none
}

// order is the only byte order that libbpf takes.
var order = binary.NativeEndian

// Parse reads an object file. The error is an [*Error].
func Parse(data []byte) (*File, error) {
	f := &File{data: data}
	for _, step := range []func() error{f.readSections, f.readSymbols, f.checkSections, f.checkFunctions, f.checkRelocations, f.readBTF} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// License is the text of the section of that name; empty: there is none.
func (f *File) License() string {
	s := f.named("license")
	if s == nil {
		return ""
	}
	return stringAt(f.content(s), 0)
}

// stringAt is the string that starts there, up to its NUL or the end.
func stringAt(b []byte, at uint32) string {
	if uint64(at) >= uint64(len(b)) {
		return ""
	}
	b = b[at:]
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
