package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
)

// The kernel empties a program array (BPF_MAP_TYPE_PROG_ARRAY) once no descriptor and no pin
// holds it, whatever programs use it. So the arrays of a program are pinned before it gets its
// first packet, below <bpffs>/xdp/tailcalls-ID, and stay pinned while it is in any chain. The
// directory is not one of libxdp's: native tools change the chain without a look at it, and
// couldn't remove their own with more in it than they know. What they take out of a chain leaves
// its arrays to Clean.

func callArraysName(progID uint32) string { return fmt.Sprintf("tailcalls-%d", progID) }

// callerOf is the program whose arrays are pinned in a directory of that name.
func callerOf(name string) (progID uint32, ok bool) {
	n, _ := fmt.Sscanf(name, "tailcalls-%d", &progID)
	return progID, n == 1 && name == callArraysName(progID)
}

// pinCallArrays pins the program arrays of a program that is loaded. Whatever has its directory
// is left behind by a program that had the same id, or is this program's, of another interface:
// then our descriptors hold the arrays meanwhile.
func pinCallArrays(root *protocol.PinRoot, o *object.Program, progID uint32) error {
	arrays := o.ProgramArrays()
	if len(arrays) == 0 {
		return nil
	}
	name := callArraysName(progID)
	if err := root.Create(name); err != nil {
		return err
	}
	for _, m := range arrays {
		info, err := libbpf.MapInfoByFD(m.FD())
		if err != nil {
			return err
		}
		if err := libbpf.ObjPin(m.FD(), fmt.Sprintf("%s/%s/%d", protocol.PinRootDir(), name, info.ID)); err != nil {
			return err
		}
	}
	return nil
}

// pinCallArraysAlone is pinCallArrays for a program that needs no dispatcher. The caller closes
// the lock once the program is on its interface: until then the pins look left behind. Where there
// is no bpffs, an array that the object leaves empty stays without a pin, and so empty.
func pinCallArraysAlone(ctx context.Context, o *object.Program) (lock *protocol.PinRoot, err error) {
	if len(o.ProgramArrays()) == 0 {
		return nil, nil
	}
	if err := protocol.PrepareBPFFS(); err != nil {
		if !o.MakesTailCalls() {
			return nil, nil
		}
		return nil, err
	}
	id, err := loaded.ProgID(o.Bpf.FD())
	if err != nil {
		return nil, err
	}
	if lock, err = protocol.LockPins(ctx); err != nil {
		return nil, err
	}
	if err := pinCallArrays(lock, o, id); err != nil {
		lock.Close()
		return nil, err
	}
	return lock, nil
}

// unpinCallArraysAlone takes that back.
func unpinCallArraysAlone(o *object.Program) error {
	if len(o.ProgramArrays()) == 0 || !o.Loaded {
		return nil
	}
	id, err := loaded.ProgID(o.Bpf.FD())
	if err != nil {
		return err
	}
	return unpinCallArrays([]uint32{id})
}

// unpinCallArrays is dropCallArrays for programs that needed no dispatcher.
func unpinCallArrays(programs []uint32) error {
	if len(programs) == 0 {
		return nil
	}
	root, err := protocol.LockPins(context.Background())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	return dropCallArrays(root, programs, nil)
}

// dropCallArrays removes the pins of the arrays of those programs that are in no chain any more.
// away are dispatchers that aren't on an interface.
func dropCallArrays(root *protocol.PinRoot, programs, away []uint32) error {
	programs = slices.DeleteFunc(slices.Clone(programs), func(id uint32) bool {
		has, err := root.Has(callArraysName(id))
		return err == nil && !has
	})
	if len(programs) == 0 {
		return nil
	}
	own, err := device.OpenOwnNetns()
	if err != nil {
		return err
	}
	defer unix.Close(own)
	gone, err := cleaning{root: root, own: own}.withoutChain(context.Background(), programs, away)
	if err != nil {
		return err
	}
	if len(gone) > 0 {
		loaded.WaitForPackets() // one may be about to call a program
	}
	var errs []error
	for _, id := range gone {
		errs = append(errs, root.Remove(callArraysName(id)))
	}
	return errors.Join(errs...)
}

// withoutChain are those of the programs that are on no interface, neither in a chain nor alone.
// away are dispatchers that aren't on an interface.
func (c cleaning) withoutChain(ctx context.Context, programs, away []uint32) (gone []uint32, err error) {
	if len(programs) == 0 {
		return nil, nil
	}
	before, err := mainProgramsOf(programs)
	if err != nil {
		return nil, err
	}
	var candidates []uint32
	for _, id := range slices.Concat(slices.Collect(maps.Values(before))...) {
		if !slices.Contains(away, id) {
			candidates = append(candidates, id)
		}
	}
	used, err := c.inUse(ctx, candidates)
	if err != nil {
		return nil, err
	}
	// Meanwhile others may have put one of the programs into another dispatcher, and that on an
	// interface.
	after, err := mainProgramsOf(programs)
	if err != nil {
		return nil, err
	}
	kept, err := c.kept()
	if err != nil {
		return nil, err
	}
	for _, id := range programs {
		serves := func(main uint32) bool {
			_, ok := used[main]
			return ok || slices.Contains(kept, main) || !slices.Contains(before[id], main)
		}
		if !slices.ContainsFunc(append(before[id], after[id]...), serves) {
			gone = append(gone, id)
		}
	}
	return gone, nil
}

// kept are the dispatchers and lone programs that are kept to come back; see [Changing.Keep].
func (c cleaning) kept() (ids []uint32, err error) {
	names, err := c.root.Entries()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if _, id, ok := protocol.KeptID(name); ok {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// mainProgramsOf finds the programs that may be on an interface with these: the dispatchers that
// they are linked into, and those themselves that need none.
func mainProgramsOf(programs []uint32) (map[uint32][]uint32, error) {
	all := map[uint32][]uint32{}
	for _, id := range programs {
		info, err := loaded.ProgInfo(id)
		switch {
		case errors.Is(err, unix.ENOENT):
		case err != nil:
			return nil, err
		case info.Type != libbpf.ProgTypeExt:
			all[id] = append(all[id], id)
		}
	}
	err := loaded.EachLink(func(l *libbpf.LinkInfo) error {
		if l.Type == libbpf.LinkTypeTracing && slices.Contains(programs, l.ProgID) {
			all[l.ProgID] = append(all[l.ProgID], l.TargetProgID)
		}
		return nil
	})
	return all, err
}
