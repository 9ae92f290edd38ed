package dispatcher

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Called is a program that another one calls by a slot of a program array (bpf_tail_call).
type Called struct {
	Map  string `json:"map"` // the array's name, of which the kernel keeps 15 bytes
	Slot uint32 `json:"slot"`
	xdp.Loaded
}

// CalledBy are the programs that others call which run on interfaces, by the id of each that runs
// there, in the order of arrays and slots. Only arrays count that xdpmux keeps for the program that
// runs there. What a called program calls by one of these is not listed again. Errors: [xdp.ErrPermission], [xdp.ErrSystem].
func CalledBy(chains []*Chain) (map[uint32][]Called, error) {
	all := map[uint32][]Called{}
	root, err := protocol.OpenPinRoot()
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	for _, c := range chains {
		for _, id := range c.programs() {
			if _, done := all[id]; done {
				continue // it is in several chains
			}
			called, err := calledBy(root, id)
			if err != nil {
				return nil, fmt.Errorf("what program %d on %s calls can't be read: %w", id, c.Interface.Name, privilege.Explain(err))
			}
			if called != nil {
				all[id] = called
			}
		}
	}
	return all, nil
}

func calledBy(root *protocol.PinRoot, progID uint32) (all []Called, err error) {
	pins, err := root.Pins(callArraysName(progID))
	if err != nil {
		return nil, err
	}
	var arrays []uint32
	for _, pin := range pins {
		if id, err := strconv.ParseUint(pin, 10, 32); err == nil {
			arrays = append(arrays, uint32(id))
		}
	}
	slices.Sort(arrays)
	for _, id := range arrays {
		called, err := calledByArray(id, fmt.Sprintf("%s/%s/%d", protocol.PinRootDir(), callArraysName(progID), id))
		if err != nil {
			return nil, err
		}
		all = append(all, called...)
	}
	slices.SortStableFunc(all, func(a, b Called) int { return cmp.Compare(a.Map, b.Map) })
	return all, nil
}

// calledByArray are the programs in an array. If the array or a program is gone meanwhile, it is not
// among them.
func calledByArray(id uint32, pin string) (all []Called, err error) {
	array, err := protocol.OpenPinned(id, pin)
	if err != nil {
		return nil, loaded.UnlessGone(err)
	}
	defer array.Close()
	info, err := libbpf.MapInfoByFD(array.Int())
	if err != nil {
		return nil, err
	}
	slots, err := loaded.Called(array)
	if err != nil {
		return nil, err
	}
	for _, slot := range slices.Sorted(maps.Keys(slots)) {
		p, err := loaded.ByID(slots[slot])
		if errors.Is(err, syscall.ENOENT) {
			continue
		}
		if errors.Is(err, xdp.ErrPermission) {
			p.Loaded, err = xdp.Loaded{ID: slots[slot]}, nil // its id is all that can be known
		}
		if err != nil {
			return nil, err
		}
		all = append(all, Called{Map: info.Name, Slot: slot, Loaded: p.Loaded})
	}
	return all, nil
}
