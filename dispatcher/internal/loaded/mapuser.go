package loaded

import (
	"context"
	"errors"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// RemoveMapPins removes those pins of maps that no program uses, and the directories if they
// are empty then. runs are programs that go on running; any other user of a map may be about
// to go, and is waited for.
func RemoveMapPins(ctx context.Context, pins, dirs []string, runs []uint32) {
	for _, pin := range pins {
		if id := pinnedMap(pin); id != 0 && mapUnused(ctx, id, runs) {
			os.Remove(pin)
		}
	}
	for _, dir := range dirs {
		os.Remove(dir) // only if it is empty
	}
}

// pinnedMap is the id of the map that is pinned there; 0: there is none.
func pinnedMap(path string) uint32 {
	fd, err := libbpf.ObjGet(path)
	if err != nil {
		return 0
	}
	defer fd.Close()
	info, err := libbpf.MapInfoByFD(fd.Int())
	if err != nil {
		return 0
	}
	return info.ID
}

// freed is how long the kernel may take to free the programs of a process that was killed.
const freed = 2 * time.Second

// mapUnused says whether no program uses a map. runs are the programs of the chain; any other
// user may be about to go, and is waited for. What can't be read counts as in use.
func mapUnused(ctx context.Context, mapID uint32, runs []uint32) bool {
	for deadline := time.Now().Add(freed); ; {
		users, err := usersOf(mapID)
		switch {
		case err != nil:
			return false
		case len(users) == 0:
			return true
		case time.Now().After(deadline), slices.ContainsFunc(users, func(id uint32) bool { return slices.Contains(runs, id) }):
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// usersOf are the loaded programs that use a map.
func usersOf(mapID uint32) (users []uint32, err error) {
	for id := uint32(0); ; {
		if id, err = NextProg(id); errors.Is(err, syscall.ENOENT) {
			return users, nil
		}
		if err != nil {
			return nil, err
		}
		info, err := ProgInfo(id)
		if errors.Is(err, syscall.ENOENT) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if slices.Contains(info.MapIDs, mapID) {
			users = append(users, id)
		}
	}
}
