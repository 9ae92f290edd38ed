package dispatcher

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// CleanOptions says what to clean.
type CleanOptions struct {
	Interface string // only pins of this interface's index; empty: all
	DryRun    bool   // only find out
}

// Cleaned is what Clean has found.
type Cleaned struct {
	Removed []string // pins, and directories of them, removed or to be removed
	Kept    []Kept   // those that serve an interface of another network namespace
}

// Kept is the directory of the pins of a dispatcher that is still in use.
type Kept struct {
	Dir       string
	Interface Interface
	Netns     string // such as "network namespace blue"
}

// Clean removes the pins of dispatchers that are on no interface any more, as they
// stay behind when an interface disappears or a tool is killed, and those of a check
// of the kernel that was killed. It stands for libxdp_clean_references, which looks only into its own network namespace and so
// takes the pins of a chain in another one for left behind.
//
// Errors: [ErrNoInterface], [ErrNoDispatcher] where no bpffs is mounted,
// [ErrPermission].
func Clean(ctx context.Context, opts CleanOptions) (*Cleaned, error) {
	index := 0
	if opts.Interface != "" {
		l, err := linkByName(opts.Interface)
		if err != nil {
			return nil, err
		}
		index = l.Index
	}
	if err := prepareBPFFS(); err != nil {
		return nil, err
	}
	unlock, err := lockPins()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	done, err := findUnused(index)
	if err != nil || opts.DryRun {
		return done, err
	}
	for _, path := range done.Removed {
		if err := os.RemoveAll(path); err != nil {
			return nil, explainPermission(err)
		}
	}
	return done, nil
}

// serving is a dispatcher on an interface.
type serving struct {
	ifindex int
	progID  uint32
}

// findUnused looks through the pins of an interface's index, or all with 0.
func findUnused(index int) (*Cleaned, error) {
	dirs, err := filepath.Glob(filepath.Join(bpffs(), "xdp", "dispatch-*"))
	if err != nil {
		return nil, err
	}
	done := &Cleaned{}
	if index == 0 {
		// What libxdp's check of the kernel pins and unpins in one go, with the lock
		// held that is ours now: one was killed.
		if done.Removed, err = filepath.Glob(filepath.Join(bpffs(), "xdp", "prog-test-link-*")); err != nil {
			return nil, err
		}
	}
	var used map[serving]Kept
	for _, dir := range dirs {
		var s serving
		if n, _ := fmt.Sscanf(filepath.Base(dir), "dispatch-%d-%d", &s.ifindex, &s.progID); n < 2 || index != 0 && s.ifindex != index {
			continue
		}
		if used == nil {
			if used, err = servingAnywhere(); err != nil {
				return nil, err
			}
		}
		kept, ok := used[s]
		switch {
		case !ok:
			done.Removed = append(done.Removed, dir)
		case kept.Netns != "":
			kept.Dir = dir
			done.Kept = append(done.Kept, kept)
		}
	}
	return done, nil
}

// servingAnywhere finds the main programs of the interfaces of every network
// namespace that can be reached. Kept.Netns is empty for the caller's own.
func servingAnywhere() (map[serving]Kept, error) {
	used := map[serving]Kept{}
	for i, ns := range reachableNetns() {
		all, err := ns.links()
		if err != nil && i == 0 {
			return nil, err
		}
		for _, l := range all {
			s := serving{l.Index, l.progID}
			if _, known := used[s]; known || l.progID == 0 {
				continue
			}
			kept := Kept{Interface: l.Interface}
			if i > 0 {
				kept.Netns = ns.name
			}
			used[s] = kept
		}
	}
	return used, nil
}
