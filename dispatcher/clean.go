package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// CleanOptions says what to clean.
type CleanOptions struct {
	Interface string // only the pins of this interface, by its index; empty: all pins
	DryRun    bool   // only find out, and remove nothing
}

// Cleaned is what Clean has found.
type Cleaned struct {
	Removed []string // pins, and directories of pins, that are removed, or would be without DryRun
	Kept    []Kept   // directories of pins that serve an interface of another network namespace, or are about to serve one
}

// Kept is the directory of the pins of a dispatcher that is still in use.
type Kept struct {
	Dir       string
	Interface xdp.Interface
	Netns     string // such as "network namespace blue"
	Process   string // such as "process 12 (xdp-loader)", which is about to put the dispatcher on an interface; else empty
}

// Clean removes the pins of dispatchers that are on no interface any more. They stay behind
// when an interface disappears or a tool is killed. It also removes what libxdp's check of
// the kernel has pinned, if that was killed, and, unless one interface is given, the program
// arrays of programs that are in no chain any more. It stands for libxdp_clean_references, which
// looks only into its own network namespace: it takes the pins of a chain in another one for
// left behind.
//
// Clean looks into every network namespace that lives by a thread, a mount, a descriptor or
// a socket. Where one of these can't be read, it removes nothing. It can't find a namespace
// that is mounted only where no process sees it, whose descriptor is under way between
// processes (SCM_RIGHTS), or that only a file of io_uring holds.
//
// Errors: [xdp.ErrNoInterface], [xdp.ErrNoDispatcher] where no bpffs is mounted,
// [xdp.ErrPermission], [xdp.ErrSystem].
func Clean(ctx context.Context, opts CleanOptions) (*Cleaned, error) {
	own, err := device.OpenOwnNetns()
	if err != nil {
		return nil, notCleaned(err)
	}
	defer unix.Close(own)
	c := cleaning{own: own}
	var l device.Device
	if opts.Interface != "" {
		if l, err = device.ByName(opts.Interface); err != nil {
			return nil, err
		}
		c.index = l.Index
	}
	if err := protocol.CheckBPFFS(); err != nil {
		return nil, err
	}
	root, err := protocol.LockPins(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return &Cleaned{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if opts.Interface != "" { // the wait may have been long: by now another interface may have the index
		if _, err := l.Again(); err != nil {
			return nil, err
		}
	}
	c.root = root
	done, err := c.findUnused(ctx)
	if err != nil || opts.DryRun {
		return done, err
	}
	if len(done.Removed) > 0 {
		loaded.WaitForPackets() // the tool that swapped them away may have been killed just then
	}
	for _, path := range done.Removed {
		if err := c.remove(path); err != nil {
			return nil, protocol.ExplainPins(err)
		}
	}
	return done, nil
}

// cleaning is a Clean under way, which holds the lock on the pins.
type cleaning struct {
	root  *protocol.PinRoot
	own   int // the caller's network namespace
	index int // of the only interface whose pins are looked at; 0: all
}

// findUnused looks through the pins.
func (c cleaning) findUnused(ctx context.Context) (*Cleaned, error) {
	names, err := c.root.Entries()
	if err != nil {
		return nil, protocol.ExplainPins(err)
	}
	slices.Sort(names)
	ids := map[string]uint32{} // of the dispatchers whose directories these are
	callers := []uint32{}      // the programs whose arrays are pinned
	own := map[string]int{}    // the interfaces whose directories of our own pins these are
	for _, name := range names {
		if index, ok := protocol.OwnIndex(name); ok && (c.index == 0 || c.index == index) {
			own[name] = index
			continue
		}
		if id, ok := callerOf(name); ok && c.index == 0 {
			callers = append(callers, id)
			continue
		}
		var ifindex int
		var id uint32
		if n, _ := fmt.Sscanf(name, "dispatch-%d-%d", &ifindex, &id); n < 2 || c.index != 0 && ifindex != c.index {
			continue
		}
		if _, err := c.root.Has(name); err != nil { // beside what isn't libxdp's, nothing is removed
			return nil, protocol.ExplainPins(err)
		}
		ids[name] = id
	}
	// libxdp pins a dispatcher, lets go of the lock, and then puts the dispatcher on its
	// interface. A process that is between the two has the dispatcher open. One that has none
	// open is done, and its interface is looked at next.
	var holders map[uint32]string
	if len(ids) > 0 {
		holders = loaded.ProgramHolders()
	}
	used, err := c.inUse(ctx, slices.Collect(maps.Values(ids)))
	if err != nil {
		return nil, err
	}
	gone, err := c.withoutChain(ctx, callers, nil)
	if err != nil {
		return nil, err
	}
	done := &Cleaned{}
	for _, name := range names {
		path := protocol.PinRootDir() + "/" + name
		id, ok := ids[name]
		kept, serves := used[id]
		if holder := holders[id]; ok && !serves && holder != "" {
			done.Kept = append(done.Kept, Kept{Dir: path, Process: holder})
			continue
		}
		caller, calls := callerOf(name)
		switch {
		// libxdp's check of the kernel pins this and unpins it again while it holds the lock.
		// We hold the lock now, so the check was killed.
		case c.index == 0 && strings.HasPrefix(name, testLink), ok && !serves, calls && slices.Contains(gone, caller):
			done.Removed = append(done.Removed, path)
		case ok && kept.Netns != "":
			kept.Dir = path
			done.Kept = append(done.Kept, kept)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		left, err := c.ownLeft(name, own[name], done.Removed)
		if err != nil {
			return nil, protocol.ExplainPins(err)
		}
		done.Removed = append(done.Removed, left...)
	}
	return done, nil
}

// ownLeft are those of our own pins for an interface that are left of dispatchers which are gone,
// or whose other pins are to be removed. If all are, it is their directory.
func (c cleaning) ownLeft(name string, ifindex int, removed []string) (left []string, err error) {
	pins, err := c.root.Pins(name)
	if err != nil {
		return nil, err
	}
	dir := protocol.PinRootDir() + "/" + name
	for _, pin := range pins {
		isLeft, err := c.root.OwnLeft(ifindex, pin)
		if err != nil {
			return nil, err
		}
		id, ok := protocol.OwnID(pin)
		if isLeft || ok && slices.Contains(removed, protocol.PinDir(ifindex, id)) {
			left = append(left, dir+"/"+pin)
		}
	}
	if len(left) == len(pins) {
		return []string{dir}, nil
	}
	slices.Sort(left)
	return left, nil
}

const testLink = "prog-test-link-"

func (c cleaning) remove(path string) error {
	name := strings.TrimPrefix(path, protocol.PinRootDir()+"/")
	if strings.HasPrefix(name, testLink) || strings.Contains(name, "/") {
		return c.root.RemovePin(name)
	}
	return c.root.Remove(name)
}

// inUse finds those of the programs that are on an interface, in any network namespace and
// with any index: an interface that moves keeps its programs. Kept.Netns is empty for the
// caller's namespace.
func (c cleaning) inUse(ctx context.Context, programs []uint32) (map[uint32]Kept, error) {
	used := map[uint32]Kept{}
	allUsed := func() bool {
		for _, id := range programs {
			if _, ok := used[id]; !ok {
				return false
			}
		}
		return true
	}
	if allUsed() {
		return used, nil
	}
	errFound := errors.New("all are found")
	search := device.NetnsSearch{Visit: func(fd int, name string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		all, err := device.AllIn(fd)
		if err != nil {
			return &device.NetnsError{What: name, Err: err}
		}
		for _, l := range all {
			if _, known := used[l.ProgID]; known || l.ProgID == 0 {
				continue
			}
			kept := Kept{Interface: l.Interface}
			if name != device.OwnNetns {
				kept.Netns = name
			}
			used[l.ProgID] = kept
		}
		if allUsed() {
			return errFound
		}
		return nil
	}}
	err := device.OnThread(func() error {
		// Twice, as an interface, or a process that holds its namespace, may be on the move.
		err := search.Run(c.own)
		if err == nil {
			err = search.Run(c.own)
		}
		return err
	})
	if err != nil && err != errFound {
		return nil, notCleaned(err)
	}
	return used, nil
}

// notCleaned says that it is not known which pins are in use.
func notCleaned(err error) error {
	var unread *device.NetnsError
	if !errors.As(err, &unread) {
		return err
	}
	e := &xdp.Error{Kind: xdp.ErrSystem, Err: err, Msg: fmt.Sprintf("nothing was removed, as %v, and pins there may be in use", err), Remedy: unread.Remedy}
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		e.Kind, e.Remedy = xdp.ErrPermission, "run as root; of a part of its capabilities it takes CAP_SYS_ADMIN and CAP_SYS_PTRACE"
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		e.Remedy = "allow more open files: ulimit -n"
	case e.Remedy == "":
		e.Remedy = "try again"
	}
	return e
}
