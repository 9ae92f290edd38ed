package desired

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
)

// underWay is what a file holds about a swap while that is made. If an apply has the lock
// and finds such a file, its writer was killed.
type underWay struct {
	Interface string   `json:"interface"`
	Pins      []string `json:"pins"` // of maps, where nothing was before
	Dirs      []string `json:"dirs"` // of such pins, which weren't there before
}

// underWayPath is the path of that file. The network namespace is part of its name, because
// the interface is one of that namespace.
func (r records) underWayPath() (string, error) {
	var ns unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &ns); err != nil {
		return "", err
	}
	return filepath.Join(string(r), fmt.Sprintf("swap-%d", ns.Ino)), nil
}

// begin writes down what the swap would leave behind if it were killed. end removes that.
func (p *Plan) begin(r records) (end func(), err error) {
	u := underWay{Interface: p.Interface.Name}
	for _, s := range p.Steps {
		path := s.want.pinPath()
		if path == "" || !s.loads() {
			continue
		}
		if absent(path) {
			u.Dirs = append(u.Dirs, path)
		}
		for _, pin := range p.pins(s.want.entry) {
			if absent(pin) {
				u.Pins = append(u.Pins, pin)
			}
		}
	}
	data, err := json.Marshal(u)
	if err != nil {
		return nil, err
	}
	file, err := r.underWayPath()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return nil, err
	}
	return func() { os.Remove(file) }, nil
}

func absent(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// tidy removes the pins that a killed apply has left, and with them the programs. What can't
// be removed now stays; xdpmux clean removes it, too.
func (r records) tidy(ctx context.Context) error {
	file, err := r.underWayPath()
	if err != nil {
		return err
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var u underWay
	if err := json.Unmarshal(data, &u); err == nil && u.Interface != "" { // else it was killed while it wrote the file
		if _, err := dispatcher.Clean(ctx, dispatcher.CleanOptions{Interface: u.Interface}); ctx.Err() != nil {
			return ctx.Err()
		} else if err == nil {
			u.unpin(ctx)
		}
	}
	return os.Remove(file)
}

// unpin removes the pins of maps that nobody uses.
func (u *underWay) unpin(ctx context.Context) {
	var runs []uint32
	if chain, err := dispatcher.Status(ctx, u.Interface); err == nil {
		for _, p := range chain.Programs {
			runs = append(runs, p.ID)
		}
	}
	for _, pin := range u.Pins {
		if id := pinnedMap(pin); id != 0 && unused(ctx, id, runs) {
			os.Remove(pin)
		}
	}
	for _, dir := range u.Dirs {
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

// unused says whether no program uses a map. runs are the programs of the chain; any other
// user may be about to go, and is waited for. What can't be read counts as in use.
func unused(ctx context.Context, mapID uint32, runs []uint32) bool {
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
		if id, err = libbpf.NextProgID(id); errors.Is(err, syscall.ENOENT) {
			return users, nil
		}
		if err != nil {
			return nil, err
		}
		info, err := loaded.ProgInfo(id)
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
