package dispatcher

import (
	"context"

	"github.com/xdpmux/xdpmux/cgo/libxdp"
)

// Clean unlinks the pins of dispatchers that are on no interface any more, as
// they stay behind when an interface disappears: those of one interface, or all
// with an empty name. It stands for libxdp_clean_references.
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
	if err := checkBPFFS(); err != nil {
		return err
	}
	_, err := recorded(func() error { return libxdp.CleanReferences(index) })
	return explainPermission(err)
}
