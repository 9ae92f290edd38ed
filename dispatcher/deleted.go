package dispatcher

import (
	"context"
	"errors"
	"io/fs"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// CleanDeleted removes the pins of the dispatcher that an interface had when the kernel deleted it.
// It returns the ids of the dispatcher's programs, as far as they can be told. It is for a caller
// who has heard RTM_DELLINK, and that the interface didn't move to another network namespace (no
// IFLA_NEW_NETNSID). So it needs to look into none, as [Clean] does, and takes no CAP_SYS_ADMIN.
// Program arrays that are pinned for the programs may be left to Clean.
//
// Errors: [xdp.ErrPermission], [xdp.ErrBusy], [xdp.ErrSystem].
func CleanDeleted(ctx context.Context, ifindex int, dispatcherID uint32) (programs []uint32, err error) {
	root, err := protocol.LockPins(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if now, err := device.ByIndex(ifindex, ""); !errors.Is(err, xdp.ErrNoInterface) && (err != nil || now.ProgID == dispatcherID) {
		return nil, err // it came back, or that can't be told
	}
	if has, err := root.Has(protocol.PinName(ifindex, dispatcherID)); err != nil || !has {
		return nil, protocol.ExplainPins(err)
	}
	if d, _ := protocol.Read(ifindex, dispatcherID); d != nil { // what can't be read has no names here
		for _, s := range d.Slots {
			if s.ID != 0 {
				programs = append(programs, s.ID)
			}
		}
	}
	if err := root.RemoveAll(ifindex, dispatcherID); err != nil {
		return nil, protocol.ExplainPins(err)
	}
	if err := dropCallArrays(root, programs, nil); err != nil && !errors.Is(err, xdp.ErrPermission) {
		return programs, err
	}
	return programs, nil
}
