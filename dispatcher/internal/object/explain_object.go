package object

import (
	"debug/elf"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/internal/objectfile"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// explainOpen says why libbpf doesn't open an object file.
func explainOpen(file string, parsed *objectfile.File, err error) error {
	names := parsed.Undefined()
	if len(names) == 0 || !errors.Is(err, syscall.ENOENT) {
		return explainObject(file, err)
	}
	return &xdp.Error{Kind: xdp.ErrObject, Err: err, Msg: fmt.Sprintf("%s uses %s, which it doesn't have", file, strings.Join(names, ", ")),
		Remedy: "link it with the object that has it (bpftool gen object ALL.o ONE.o OTHER.o), or declare what the kernel has with __ksym"}
}

// explainObject says what is wrong with an object file that was refused: before libbpf
// saw it, or by libbpf.
func explainObject(file string, err error) error {
	e := &xdp.Error{Kind: xdp.ErrObject, Err: err, Remedy: "compile it with: clang -O2 -g -target bpf -c prog.c -o prog.o"}
	var refused *objectfile.Error
	if !errors.As(err, &refused) {
		e.Msg = fmt.Sprintf("libbpf can't read %s: %s", file, native.Cause(err))
		return e.Advise("%v", xdp.Hint{To: xdp.HintLibbpfLog})
	}
	switch refused.Fault {
	case objectfile.ErrNotELF:
		e.Msg = file + " is not an ELF object"
	case objectfile.ErrMachine:
		e.Msg = fmt.Sprintf("%s is compiled for %s, not for BPF", file, machine(elf.Machine(refused.Machine)))
	case objectfile.ErrByteOrder:
		e.Msg = file + " has the byte order of another machine"
	case objectfile.ErrNoBTF:
		e.Msg = file + " has maps, but no type information (BTF) that describes them"
	case objectfile.ErrOldMaps:
		e.Msg = file + ` declares its maps in section "maps", which libbpf has not read since version 1.0`
		e.Remedy = `declare them in SEC(".maps"), with __uint(type, ...) and __type(key, ...), and compile it anew`
	case objectfile.ErrTruncated:
		e.Msg = file + " is a truncated ELF object"
	case objectfile.ErrConfig:
		e.Msg = fmt.Sprintf("%s: the run configuration %s", file, refused.Detail)
		e.Remedy = "it takes members priority, " + strings.Join(xdp.VerdictNames(), ", ") + ", each made by __uint()"
	default:
		e.Msg = fmt.Sprintf("%s is %v", file, refused)
	}
	return e
}

func machine(m elf.Machine) string {
	return strings.ToLower(strings.TrimPrefix(m.String(), "EM_"))
}
