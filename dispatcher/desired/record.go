package desired

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
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
	"github.com/xdpmux/xdpmux/dispatcher/internal/private"
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

// lock keeps other processes from applying until unlock is called. It makes the directory,
// so that where nothing can be recorded, it fails before anything is changed. While another
// process has the lock, it waits, as long as limit and ctx allow. After a moment it tells
// waiting for whom, unless waiting is nil.
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

// openLock opens the file that is locked. Only its owner can open it, or read the records:
// else any user could keep apply waiting, and read what maps hold.
func (r records) openLock() (*os.File, error) {
	if err := private.MakeDir(string(r)); err != nil {
		return nil, err
	}
	return os.OpenFile(filepath.Join(string(r), "lock"), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
}

// unfinished is the end of the name of a record that is being written.
const unfinished = ".new"

func (r records) path(id uint32) string {
	return filepath.Join(string(r), fmt.Sprintf("%d.json", id))
}

// read is the record of a program; without a tag, of whichever has the id. It is nil if there is
// none, or if it is that of another program which had the id before.
func (r records) read(id uint32, tag string) (*record, error) {
	data, err := os.ReadFile(r.path(id))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EISDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var rec record
	if err := decode(data, &rec); err != nil || rec.ID != id || tag != "" && rec.Tag != tag {
		return nil, nil
	}
	info, err := loaded.ProgInfo(id)
	if errors.Is(err, xdp.ErrPermission) {
		return &rec, nil // without CAP_SYS_ADMIN: the kernel uses an id again only after 2^31 others
	}
	if errors.Is(err, syscall.ENOENT) || err == nil && rec.LoadTime != info.LoadTime {
		return nil, nil
	}
	return &rec, err
}

// readByID is the record of a program of which nothing but the id is known.
func (r records) readByID(id uint32) (*record, error) {
	info, err := loaded.ProgInfo(id)
	if errors.Is(err, xdp.ErrPermission) {
		return r.read(id, "")
	}
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
	if rec.LoadTime == 0 {
		info, err := loaded.ProgInfo(rec.ID)
		if errors.Is(err, syscall.ENOENT) {
			return nil // unloaded by somebody already
		}
		if err != nil {
			return err
		}
		rec.LoadTime = info.LoadTime
	}
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	// Renamed into place, so that nobody ever reads half of it.
	path := r.path(rec.ID)
	tmp := path + unfinished
	for try := 1; ; try++ {
		if err = os.WriteFile(tmp, data, 0o600); err == nil {
			err = os.Rename(tmp, path)
		}
		if err == nil || try == tries {
			return err
		}
		// An apply took the file for what a killed process has left, or a directory is in
		// the way.
		if !errors.Is(err, fs.ErrNotExist) {
			if err := errors.Join(r.removeDirectory(tmp), r.removeDirectory(path)); err != nil {
				return err
			}
		}
	}
}

// unwritten is the error of an interface that isn't changed, as err kept a record from being written.
func (r records) unwritten(ifname string, err error) error {
	return &xdp.Error{Kind: xdp.ErrSystem, Err: err,
		Msg:    fmt.Sprintf("%s is as it was, as the record of what should run can't be written: %v", ifname, err),
		Remedy: fmt.Sprintf("see to it that %s can be written: apply knows its own programs by what is there", r)}
}

// apply records that a state wants a program that runs on the interface of that index.
func (r records) apply(p xdp.Loaded, w *wanted, ifindex int) error {
	rec := record{ID: p.ID, Tag: p.Tag, Program: w.entry, Digest: w.digest}
	old, err := r.read(p.ID, p.Tag)
	if err != nil {
		return err
	}
	if old != nil {
		rec.Applied, rec.ByHand, rec.LoadTime = old.Applied, old.ByHand, old.LoadTime
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

// removeDirectory removes a directory that is in the way of the file path. The records'
// directory is xdpmux's alone, so nothing of anybody else is lost.
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

// Forget removes the records of programs that are gone.
func Forget(programs []uint32) error {
	var errs []error
	for _, id := range programs {
		errs = append(errs, defaultRecords.remove(id))
	}
	return errors.Join(errs...)
}

// cleanAll removes the records of programs that are gone, and those that were being
// written when their writer was killed. The caller has the lock. Where the kernel doesn't say which
// programs there are, all records stay.
func (r records) cleanAll() error {
	names, err := r.names()
	if err != nil {
		return err
	}
	var ids []uint32
	for _, name := range names {
		if id, ok := recordOf(name); ok {
			ids = append(ids, id)
		}
		if !strings.HasSuffix(name, unfinished) {
			continue
		}
		path := filepath.Join(string(r), name)
		if err := r.removeDirectory(path); err != nil {
			return err
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if len(ids) == 0 {
		return nil
	}
	there, err := loaded.Programs() // after names: a program is loaded before its record is written
	if err != nil {
		return nil
	}
	for _, id := range ids {
		if there[id] {
			continue
		}
		if err := r.remove(id); err != nil {
			return err
		}
	}
	return nil
}

// looks is how many records cleanSome looks at.
const looks = 4

// cleanSome removes, of a few records that it draws by lot, those of programs that are gone. So a
// change costs the same however many programs run, and yet such records don't pile up. Without
// CAP_SYS_ADMIN it removes none.
func (r records) cleanSome() error {
	names, err := r.names()
	if err != nil {
		return err
	}
	for _, i := range rand.Perm(len(names))[:min(looks, len(names))] {
		id, ok := recordOf(names[i])
		if !ok {
			continue
		}
		if _, err := loaded.ProgInfo(id); !errors.Is(err, syscall.ENOENT) {
			continue
		}
		if err := r.remove(id); err != nil {
			return err
		}
	}
	return nil
}

// names are the names of what is in the directory; none where it isn't there.
func (r records) names() ([]string, error) {
	dir, err := os.Open(string(r))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Readdirnames(-1)
}

// recordOf is the program whose record has that file name.
func recordOf(name string) (id uint32, ok bool) {
	digits, isRecord := strings.CutSuffix(name, ".json")
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), isRecord && err == nil
}
