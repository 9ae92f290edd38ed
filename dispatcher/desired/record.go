package desired

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/internal/flock"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// record is what is kept of a program that xdpmux has loaded.
type record struct {
	ID       uint32        `json:"id"`
	Tag      string        `json:"tag"`
	LoadTime time.Duration `json:"load_time"` // in ns since boot
	Program  Program       `json:"program"`   // as the file had it
	Digest   string        `json:"digest"`    // of what the program was made from
	Applied  []int         `json:"applied"`   // indices of the interfaces on which a state wants it
	ByHand   bool          `json:"by_hand"`   // somebody has loaded it, no state
}

// records is the directory of the records, one file for each program, named by its
// id. Ids are the kernel's, so network namespaces share it.
type records string

const defaultRecords records = "/run/xdpmux"

// patience is how long an apply waits for another.
const patience = time.Minute

// quiet is how long an apply waits before it says for whom.
const quiet = time.Second

// tries is how often something is done anew because another process got in the way.
const tries = 5

// lock keeps other processes from applying until unlock is called. It makes the
// directory, so that a system where nothing can be recorded fails before anything
// is changed. While another process has the lock, it waits, as long as limit and ctx
// allow, and after a moment tells waiting, if there is one, for whom.
func (r records) lock(ctx context.Context, limit time.Duration, waiting func(holder string)) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := r.openLock()
	if err != nil {
		return nil, &xdp.Error{Kind: xdp.ErrSystem, Err: err,
			Msg: fmt.Sprintf("can't keep records in %s: %v", r, err), Remedy: "apply needs to write there, to know its own programs later"}
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if waiting != nil {
		waits := time.AfterFunc(quiet, func() { waiting(holderOf(f)) })
		defer waits.Stop()
	}
	err = flock.Lock(limited, int(f.Fd()))
	switch {
	case err == nil:
		return func() { f.Close() }, nil
	case ctx.Err() != nil:
		err = ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		err = &xdp.Error{Kind: xdp.ErrBusy, Err: err,
			Msg:    fmt.Sprintf("%s holds %s, and %v of waiting were not enough", holderOf(f), f.Name(), limit),
			Remedy: "only one apply can run at a time: end the other, or try again"}
	default:
		err = fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	f.Close()
	return nil, err
}

func holderOf(f *os.File) string { return cmp.Or(flock.Holder(int(f.Fd())), "another process") }

// openLock opens the file that is locked. Nobody but its owner can open it, nor read
// the records: else any user could keep apply waiting, and read what maps hold. What an
// older xdpmux has left open to others is closed to them.
func (r records) openLock() (*os.File, error) {
	if err := r.make(); err != nil {
		return nil, err
	}
	return os.OpenFile(filepath.Join(string(r), "lock"), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
}

// make makes the directory, if it isn't there, which is root's alone.
func (r records) make() error {
	if err := os.MkdirAll(string(r), 0o700); err != nil {
		return err
	}
	return r.restrict()
}

// restrict takes the rights of others away from the directory and what is in it.
func (r records) restrict() error {
	dir, err := os.Stat(string(r))
	if err != nil || dir.Mode().Perm()&0o077 == 0 {
		return err
	}
	if err := os.Chmod(string(r), 0o700); err != nil {
		return err
	}
	files, err := os.ReadDir(string(r))
	if err != nil {
		return err
	}
	for _, f := range files {
		if !f.Type().IsRegular() {
			continue
		}
		if err := os.Chmod(filepath.Join(string(r), f.Name()), 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// unfinished is the end of the name of a record that is being written.
const unfinished = ".new"

func (r records) path(id uint32) string {
	return filepath.Join(string(r), fmt.Sprintf("%d.json", id))
}

// read is the record of a program; nil: it has none, or one of another program
// that had its id.
func (r records) read(id uint32, tag string) (*record, error) {
	data, err := os.ReadFile(r.path(id))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EISDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var rec record
	if err := decode(data, &rec); err != nil || rec.ID != id || rec.Tag != tag {
		return nil, nil
	}
	info, err := loaded.ProgInfo(id)
	if errors.Is(err, syscall.ENOENT) || err == nil && rec.LoadTime != info.LoadTime {
		return nil, nil
	}
	return &rec, err
}

// readByID is the record of a program of which nothing but the id is known.
func (r records) readByID(id uint32) (*record, error) {
	info, err := loaded.ProgInfo(id)
	if err != nil {
		return nil, loaded.UnlessGone(err)
	}
	return r.read(id, info.Tag.String())
}

// decode reads JSON and leaves the numbers of map entries as they are written.
func decode(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return dec.Decode(v)
}

// write records a program that runs.
func (r records) write(rec record) error {
	id := rec.ID
	info, err := loaded.ProgInfo(id)
	if errors.Is(err, syscall.ENOENT) {
		return nil // unloaded by somebody already
	}
	if err != nil {
		return err
	}
	rec.LoadTime = info.LoadTime
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	// Renamed into place, so that nobody ever reads half of it.
	tmp := r.path(id) + unfinished
	for _, path := range []string{tmp, r.path(id)} {
		if err := r.removeDirectory(path); err != nil {
			return err
		}
	}
	for try := 1; ; try++ {
		if err := os.WriteFile(tmp, data, 0o600); err != nil {
			return err
		}
		err := os.Rename(tmp, r.path(id))
		if errors.Is(err, fs.ErrNotExist) && try < tries {
			continue // an apply takes it for what a killed one has left
		}
		return err
	}
}

// apply records that a state wants a program on the interface of that index.
func (r records) apply(p xdp.Loaded, w *wanted, ifindex int) error {
	rec := record{ID: p.ID, Tag: p.Tag, Program: w.entry, Digest: w.digest}
	old, err := r.read(p.ID, p.Tag)
	if err != nil {
		return err
	}
	if old != nil {
		rec.Applied, rec.ByHand = old.Applied, old.ByHand
	}
	if !slices.Contains(rec.Applied, ifindex) {
		rec.Applied = append(rec.Applied, ifindex)
	}
	return r.write(rec)
}

// forget records that no state wants a program on that interface any more. It may run
// on others.
func (r records) forget(id uint32, ifindex int) error {
	rec, err := r.readByID(id)
	if err != nil {
		return err
	}
	if rec != nil {
		rec.Applied = slices.DeleteFunc(rec.Applied, func(i int) bool { return i == ifindex })
		if rec.ByHand || len(rec.Applied) > 0 {
			return r.write(*rec)
		}
	}
	return r.remove(id)
}

// removeDirectory removes what stands in the way of a record that is to be renamed to
// path, or of a file that is to be removed there. The records' directory is xdpmux's
// alone, so that nothing of anybody else is lost.
func (r records) removeDirectory(path string) error {
	if info, err := os.Lstat(path); err != nil || !info.IsDir() {
		return nil
	}
	return os.RemoveAll(path)
}

// remove removes the record of a program, if it has one.
func (r records) remove(id uint32) error {
	if err := r.removeDirectory(r.path(id)); err != nil {
		return err
	}
	if err := os.Remove(r.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// same says whether two entries say the same.
func same(a, b Program) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// clean removes the records of programs that are gone, and with the lock those that
// were being written when their writer was killed.
func (r records) clean(locked bool) error {
	files, err := filepath.Glob(filepath.Join(string(r), "*.json*"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := r.removeDirectory(file); err != nil {
			return err
		}
		if strings.HasSuffix(file, unfinished) {
			if !locked {
				continue
			}
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			continue
		}
		id, err := strconv.ParseUint(filepath.Base(file[:len(file)-len(".json")]), 10, 32)
		if err != nil {
			continue // not a record
		}
		if _, err := loaded.ProgInfo(uint32(id)); errors.Is(err, syscall.ENOENT) {
			if err := r.remove(uint32(id)); err != nil {
				return err
			}
		}
	}
	return nil
}
