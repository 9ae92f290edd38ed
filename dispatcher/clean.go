package dispatcher

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/xdpmux/xdpmux/cgo/libxdp"
)

// Clean unlinks pins that nothing runs behind: those of dispatchers that are on no
// interface any more, as they stay behind when an interface disappears or a tool is
// killed, and those of a check of the kernel that was killed. It does so for one
// interface, or for all with an empty name. It stands for libxdp_clean_references.
//
// Errors: [ErrNoInterface], [ErrNoDispatcher] where no bpffs is mounted,
// [ErrPermission].
func Clean(ctx context.Context, ifname string) error {
	index := 0
	if ifname != "" {
		l, err := linkByName(ifname)
		if err != nil {
			return err
		}
		index = l.Index
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := prepareBPFFS(); err != nil {
		return err
	}
	if _, err := recorded(func() error { return libxdp.CleanReferences(index) }); err != nil {
		return explainPermission(err)
	}
	if index != 0 {
		return nil
	}
	return cleanProbes()
}

// cleanProbes removes what libxdp's check of the kernel pins and unpins in one go,
// with the lock held.
func cleanProbes() error {
	unlock, err := lockPins()
	if err != nil {
		return err
	}
	defer unlock()
	left, err := filepath.Glob(bpffs() + "/xdp/prog-test-link-*")
	if err != nil {
		return err
	}
	for _, pin := range left {
		if err := os.Remove(pin); err != nil && !errors.Is(err, os.ErrNotExist) {
			return explainPermission(err)
		}
	}
	return nil
}
