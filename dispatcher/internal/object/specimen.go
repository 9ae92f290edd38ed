package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Specimen is a program that is loaded to be compared with others, and runs nowhere.
type Specimen struct {
	Tag string // which it has in a chain too

	o    *Program
	pins map[string]string // where its maps would be pinned, by their names
}

// NewSpecimen loads p to compare it with programs that run, as only the kernel can tell the
// tag. It pins nothing. A program that asks for metadata is bound to the device of that index.
// It stands for bpf_object__load. Errors: [xdp.ErrInvalid], [xdp.ErrObject], [xdp.ErrVerifier],
// [xdp.ErrKernel], [xdp.ErrPermission].
func NewSpecimen(p xdp.Program, ifindex int) (_ *Specimen, err error) {
	s := &Specimen{pins: map[string]string{}}
	if s.o, err = Open(context.Background(), p); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	for _, m := range s.o.Obj.Maps() {
		if path := m.PinPath(); path != "" {
			s.pins[m.Name()] = path
			if err := m.SetPinPath(""); err != nil {
				return nil, err
			}
		}
	}
	if err := errors.Join(s.o.CheckMaps(), s.o.BindTo(ifindex)); err != nil {
		return nil, err
	}
	if _, err := native.Recorded(func() error { return s.o.Obj.Load() }); err != nil {
		if log := s.o.Obj.VerifierLog(); log != "" {
			return nil, ExplainVerifier(s.o, log, err)
		}
		if fault := ExplainKernelFunctions(s.o, err); fault != nil {
			return nil, fault
		}
		return nil, privilege.Explain(err)
	}
	info, err := libbpf.ProgInfoByFD(s.o.Bpf.FD())
	if err != nil {
		return nil, err
	}
	s.Tag = info.Tag.String()
	return s, s.o.fillArrays(libbpf.AttachXDP)
}

// Close lets go of the program. It is idempotent.
func (s *Specimen) Close() error {
	if s.o != nil {
		s.o.Close()
		s.o = nil
	}
	return nil
}

// Difference says in what a program that runs differs from this one; empty: in nothing. It
// compares the tags, the layouts of the maps, the constants, where the maps are pinned, and the
// programs that are called by arrays which the object fills.
// Of what the maps hold it compares the entries that this program starts with. A program that
// is gone differs.
func (s *Specimen) Difference(progID uint32) (string, error) {
	prog, err := loaded.OpenProg(progID)
	if errors.Is(err, syscall.ENOENT) {
		return "it is gone", nil
	}
	if err != nil {
		return "", privilege.Explain(err)
	}
	defer prog.Close()
	info, err := libbpf.ProgInfoByFD(prog.Int())
	if err != nil {
		return "", err
	}
	if info.Tag.String() != s.Tag {
		return "its tag is another", nil
	}
	theirs, err := mapsOf(prog.Int())
	if err != nil {
		return "", err
	}
	used, err := libbpf.ProgInfoByFD(s.o.Bpf.FD())
	if err != nil {
		return "", err
	}
	for i, m := range s.o.Obj.Maps() {
		ours, err := libbpf.MapInfoByFD(m.FD())
		if err != nil {
			return "", err
		}
		at := slices.Index(used.MapIDs, ours.ID)
		if at < 0 {
			continue
		}
		if difference, err := s.compareMap(s.o.names[i], m, ours, theirs, theirs.counterpart(info.MapIDs, at)); difference != "" || err != nil {
			return difference, err
		}
	}
	return s.CallsDifference(progID)
}

// counterpart is the map that a program with those maps uses where one with the same tag uses its
// map of that index; nil: there is none. The kernel lists a program's maps in the order in which
// its instructions name them, and the instructions are the same.
func (all runningMaps) counterpart(ids []uint32, at int) *RunningMap {
	i := slices.IndexFunc(all, func(m *RunningMap) bool { return at < len(ids) && m.ID == ids[at] })
	if i < 0 {
		return nil
	}
	return all[i]
}

// compareMap compares a map that the specimen uses with its counterpart there, one of theirs.
func (s *Specimen) compareMap(name string, m *libbpf.Map, ours *libbpf.MapInfo, theirs runningMaps, there *RunningMap) (string, error) {
	if isConstant(name) || m.Internal() && ours.BTFValueTypeID == 0 { // or literals, such as .rodata.str1.1
		same, err := theirs.holdConstants(m, ours)
		if same || err != nil {
			return "", err
		}
		return fmt.Sprintf("its constants (%s) are others", name), nil
	}
	switch {
	case there == nil:
		return fmt.Sprintf("it has no map that could be %s", name), nil
	case layoutOfInfo(there.MapInfo) != layoutOfInfo(ours):
		return fmt.Sprintf("its map %s has another layout", name), nil
	}
	if pin := s.pins[name]; pin != "" {
		state, err := pinOf(pin, there.ID)
		if err != nil {
			return "", err
		}
		if state != pinned {
			return fmt.Sprintf("its map %s is not pinned at %s", name, pin), nil
		}
		return "", nil // what it holds counts, not what the file says
	}
	return s.compareContents(name, there)
}

// compareContents compares what a map holds with what it is to start with.
func (s *Specimen) compareContents(name string, there *RunningMap) (string, error) {
	fd, err := loaded.OpenMap(there.ID)
	if err != nil {
		return "", privilege.Explain(err)
	}
	defer fd.Close()
	width, cpus := there.ValueSize, 1
	if there.Type.PerCPU() {
		if cpus, err = libbpf.NumPossibleCPUs(); err != nil {
			return "", err
		}
		width = (width + 7) &^ 7
	}
	holds := make([]byte, width*cpus)
	for _, e := range s.o.Spec.Contents {
		if e.Map != name {
			continue
		}
		if len(e.Key) != there.KeySize || len(e.Value) != there.ValueSize {
			return fmt.Sprintf("its map %s has another layout", name), nil
		}
		err := libbpf.MapLookup(fd.Int(), e.Key, holds)
		if err != nil && !errors.Is(err, syscall.ENOENT) {
			return fmt.Sprintf("what its map %s holds can't be read", name), nil
		}
		for i := range cpus {
			if err != nil || !bytes.Equal(holds[i*width:][:len(e.Value)], e.Value) {
				return fmt.Sprintf("its map %s doesn't hold what the file says", name), nil
			}
		}
	}
	return "", nil
}

// holdConstants says whether one of the maps holds the same constants as one of an
// object.
func (all runningMaps) holdConstants(m *libbpf.Map, ours *libbpf.MapInfo) (bool, error) {
	want := make([]byte, ours.ValueSize)
	zero := make([]byte, ours.KeySize)
	if err := libbpf.MapLookup(m.FD(), zero, want); err != nil {
		return false, err
	}
	for _, there := range all {
		if layoutOfInfo(there.MapInfo) != layoutOfInfo(ours) {
			continue
		}
		fd, err := loaded.OpenMap(there.ID)
		if err != nil {
			return false, err
		}
		holds := make([]byte, ours.ValueSize)
		err = libbpf.MapLookup(fd.Int(), zero, holds)
		fd.Close()
		if err != nil {
			return false, err
		}
		if bytes.Equal(holds, want) {
			return true, nil
		}
	}
	return false, nil
}
