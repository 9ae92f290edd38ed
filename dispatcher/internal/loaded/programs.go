package loaded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/xdpmux/xdpmux/bpf"
	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Programs are the ids of all programs that are loaded. Without CAP_SYS_ADMIN the kernel answers to
// a program that goes through them (BPF_TRACE_ITER), which takes CAP_BPF and CAP_PERFMON. To load
// that, libbpf reads all types of the kernel, which takes a moment.
func Programs() (map[uint32]bool, error) {
	all := map[uint32]bool{}
	for id := uint32(0); ; {
		next, err := NextProg(id)
		switch {
		case errors.Is(err, syscall.ENOENT):
			return all, nil
		case errors.Is(err, xdp.ErrPermission):
			return iteratePrograms()
		case err != nil:
			return nil, err
		}
		id = next
		all[id] = true
	}
}

func iteratePrograms() (map[uint32]bool, error) {
	all := map[uint32]bool{}
	data, err := iterate("programs")
	if err != nil {
		return nil, fmt.Errorf("list programs: %w", err)
	}
	for ; len(data) >= 4; data = data[4:] {
		all[binary.NativeEndian.Uint32(data)] = true
	}
	return all, nil
}

// iterate is what the iterator of that object, which has its name, writes.
func iterate(name string) ([]byte, error) {
	data, err := bpf.Probe(name)
	if err != nil {
		return nil, err
	}
	o, err := libbpf.OpenMem(data, libbpf.OpenOptions{})
	if err != nil {
		return nil, err
	}
	defer o.Close()
	if err := o.Load(); err != nil {
		return nil, err
	}
	link, err := libbpf.LinkCreate(o.FindProgram(name).FD(), 0, libbpf.AttachTraceIter, 0, 0)
	if err != nil {
		return nil, err
	}
	defer link.Close()
	fd, err := libbpf.IterCreate(link.Int())
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd.Release()), name)
	defer f.Close()
	return io.ReadAll(f)
}
