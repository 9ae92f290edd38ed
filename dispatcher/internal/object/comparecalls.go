package object

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
)

// CallsDifference says whether a program that runs, with the tag of this one, calls other
// programs by the arrays that the object fills; empty: it calls the same. An array that is shared
// by its pin holds what its users have put there, and isn't looked at.
func (s *Specimen) CallsDifference(progID uint32) (string, error) {
	c := callComparison{names: map[uint32]string{}}
	for i, m := range s.o.Obj.Maps() {
		if name := s.o.names[i]; s.o.Fills(name) && s.pins[name] == "" {
			info, err := libbpf.MapInfoByFD(m.FD())
			if err != nil {
				return "", err
			}
			c.names[info.ID] = name
		}
	}
	if len(c.names) == 0 {
		return "", nil
	}
	ours, err := libbpf.ProgInfoByFD(s.o.Bpf.FD())
	if err != nil {
		return "", err
	}
	theirs, err := loaded.ProgInfo(progID)
	if err != nil {
		return "", privilege.Explain(err)
	}
	return c.difference(ours, theirs)
}

// callComparison compares what two programs call.
type callComparison struct {
	names map[uint32]string // of the arrays that are to be compared, by their ids
}

// difference names the first array by which two programs with the same tag call different ones.
// They name their maps in the same order.
func (c callComparison) difference(ours, theirs *libbpf.ProgInfo) (string, error) {
	for i, id := range ours.MapIDs {
		name, ok := c.names[id]
		if !ok || i >= len(theirs.MapIDs) {
			continue
		}
		delete(c.names, id) // programs that are called may use the array they are called by
		a, err := calledBy(id)
		if err != nil {
			return "", err
		}
		b, err := calledBy(theirs.MapIDs[i])
		if err != nil {
			return "", err
		}
		other := fmt.Sprintf("its map %s holds other programs", name)
		if len(a) != len(b) {
			return other, nil
		}
		for slot, called := range a {
			if b[slot] == nil || b[slot].Tag != called.Tag {
				return other, nil
			}
			if difference, err := c.difference(called, b[slot]); difference != "" || err != nil {
				return difference, err
			}
		}
	}
	return "", nil
}

// calledBy are the programs in a program array, by their slots.
func calledBy(id uint32) (map[uint32]*libbpf.ProgInfo, error) {
	array, err := loaded.OpenMap(id)
	if err != nil {
		return nil, privilege.Explain(err)
	}
	defer array.Close()
	ids, err := loaded.Called(array)
	if err != nil {
		return nil, privilege.Explain(err)
	}
	all := map[uint32]*libbpf.ProgInfo{}
	for slot, id := range ids {
		called, err := loaded.ProgInfo(id)
		if errors.Is(err, syscall.ENOENT) {
			continue // it is taken out just now
		}
		if err != nil {
			return nil, privilege.Explain(err)
		}
		all[slot] = called
	}
	return all, nil
}
