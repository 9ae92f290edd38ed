package desired

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
)

// underWay is what a file holds about a swap while that is made. If an apply has the lock
// and finds such a file, its writer was killed.
type underWay struct {
	Interface string   `json:"interface"`
	Pins      []string `json:"pins"` // of maps, where nothing was before
	Dirs      []string `json:"dirs"` // of such pins, which weren't there before

	Unfinished []string `json:"unfinished"` // interfaces whose swap was made, with the pins of the old chain still there
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

// begin writes down what the swap would leave behind if this process were killed.
func (p *Plan) begin(r records, b *batch) error {
	u := underWay{Interface: p.Interface.Name, Unfinished: b.unfinished}
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
	return u.write(r)
}

func (u *underWay) write(r records) error {
	data, err := json.Marshal(u)
	if err != nil {
		return err
	}
	file, err := r.underWayPath()
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+unfinished, data, 0o600); err != nil {
		return err
	}
	return os.Rename(file+unfinished, file)
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
	if json.Unmarshal(data, &u) != nil { // written whole or not at all, so it isn't what write wrote
		u = underWay{}
	}
	for _, name := range u.Unfinished {
		_, _ = dispatcher.Clean(ctx, dispatcher.CleanOptions{Interface: name})
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if u.Interface != "" {
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
	loaded.RemoveMapPins(ctx, u.Pins, u.Dirs, runs)
}
