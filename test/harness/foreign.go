package harness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// Foreign is a dispatcher with two programs that neither libxdp nor xdpmux has
// loaded.
type Foreign struct {
	FD       int
	ID       uint32
	Programs [2]uint32 // ids
	progs    [2]int
	links    [2]*libbpf.FD
}

// NewForeign loads a dispatcher of that version of the protocol, with programs
// xdp_pass of priorities 7 and 9, the actions XDP_PASS and XDP_PASS+XDP_TX, and frags
// for the second.
func NewForeign(t testing.TB, version int) *Foreign {
	t.Helper()
	f, err := newForeign(t, version, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// NewBound is NewForeign of version 3 that is bound to a device, as libxdp 1.6 makes it. It takes
// Linux 6.3.
func NewBound(t testing.TB, ifindex int) *Foreign {
	t.Helper()
	f, err := newForeign(t, 3, ifindex)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func newForeign(t testing.TB, version, boundTo int) (*Foreign, error) {
	obj, main, err := OpenDispatcher(t, version)
	if err != nil {
		return nil, err
	}
	value := []byte{2, 0, 0, 0}
	fields := [][10]uint32{{1 << 2, 1<<2 | 1<<3}, {7, 9}}
	if version > 1 {
		value = []byte{236, byte(version), 2, 0}
		flags := [10]uint32{0, libbpf.FlagXDPHasFrags}
		if boundTo != 0 {
			flags = [10]uint32{libbpf.FlagXDPDevBoundOnly, libbpf.FlagXDPDevBoundOnly | libbpf.FlagXDPHasFrags}
		}
		fields = append(fields, flags)
	}
	for _, field := range fields {
		for _, v := range field {
			value = binary.NativeEndian.AppendUint32(value, v)
		}
	}
	if version == 3 {
		value = append(value, 0, 0, 0, 0)
	}
	if boundTo != 0 {
		value[len(value)-4] = 1
		main.SetIfindex(boundTo)
		if err := main.SetFlags(libbpf.FlagXDPDevBoundOnly); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(obj.Maps()[0].SetInitialValue(value), obj.Load()); err != nil {
		return nil, err
	}
	f := &Foreign{FD: main.FD()}
	if f.ID, err = progID(f.FD); err != nil {
		return nil, err
	}
	for i := range f.Programs {
		if err := f.join(t, i); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// OpenDispatcher opens a dispatcher of that version, libxdp's own if a distribution has it. Only
// its program xdp_dispatcher will be loaded.
func OpenDispatcher(t testing.TB, version int) (*libbpf.Object, *libbpf.Program, error) {
	file := Fixture(fmt.Sprintf("dispatcher-%d", version))
	if version == 2 || version == 3 {
		file = DispatcherObject(t, version)
	}
	obj, err := libbpf.OpenFile(file, libbpf.OpenOptions{})
	if err != nil {
		return nil, nil, err
	}
	t.Cleanup(func() { obj.Close() })
	for _, p := range obj.Programs() {
		if p.Name() == "xdp_dispatcher" {
			return obj, p, nil
		}
		if err := p.SetAutoload(false); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, fmt.Errorf("%s has no dispatcher", file)
}

// join loads a program and links it into the dispatcher.
func (f *Foreign) join(t testing.TB, i int) error {
	obj, err := libbpf.OpenFile(Sample("xdp_pass"), libbpf.OpenOptions{})
	if err != nil {
		return err
	}
	t.Cleanup(func() { obj.Close() })
	prog := obj.Programs()[0]
	err = errors.Join(prog.SetType(libbpf.ProgTypeExt), prog.SetExpectedAttachType(0),
		prog.SetAttachTarget(f.FD, fmt.Sprintf("prog%d", i)), obj.Load())
	if err != nil {
		return err
	}
	f.progs[i] = prog.FD()
	if f.links[i], err = libbpf.LinkCreate(prog.FD(), 0, 0, 0, 0); err != nil {
		return err
	}
	t.Cleanup(func() { f.links[i].Close() })
	f.Programs[i], err = progID(prog.FD())
	return err
}

func progID(fd int) (uint32, error) {
	info, err := libbpf.ProgInfoByFD(fd)
	if err != nil {
		return 0, err
	}
	return info.ID, nil
}

// Pin pins one of the programs and its link as libxdp does, in dir, until the test
// ends.
func (f *Foreign) Pin(t testing.TB, dir string, program int) {
	t.Helper()
	pin := func(fd int, what string) error {
		return libbpf.ObjPin(fd, filepath.Join(dir, fmt.Sprintf("prog%d-%s", program, what)))
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := errors.Join(os.MkdirAll(dir, 0o700), pin(f.progs[program], "prog"), pin(f.links[program].Int(), "link")); err != nil {
		t.Fatal(err)
	}
}
