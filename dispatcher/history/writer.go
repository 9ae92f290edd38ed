package history

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/internal/flock"
	"github.com/xdpmux/xdpmux/dispatcher/internal/private"
)

// lockLimit is how long a change waits for another process that writes.
const lockLimit = 5 * time.Second

// writer adds to a log. Its files stay open until close, for who records changes of many interfaces.
type writer struct {
	index
	locked kept // the file that is locked
}

func newWriter(dir directory) *writer { return &writer{index: index{dir: dir}} }

// kept is a file that stays open.
type kept struct {
	*os.File // nil: it isn't open
	inode
}

type inode struct{ dev, ino uint64 }

// at looks whether path leads to the file that is open: others may have put another file there.
func (k *kept) at(path string) (now unix.Stat_t, same bool) {
	same = k.File != nil && unix.Lstat(path, &now) == nil && (inode{now.Dev, now.Ino}) == k.inode
	return now, same
}

// open opens path instead.
func (k *kept) open(path string, flags int) (now unix.Stat_t, err error) {
	k.close()
	f, err := os.OpenFile(path, flags|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return now, err
	}
	if err := unix.Fstat(int(f.Fd()), &now); err != nil {
		f.Close()
		return now, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	*k = kept{f, inode{now.Dev, now.Ino}}
	return now, nil
}

func (k *kept) close() {
	if k.File != nil {
		k.File.Close()
	}
	*k = kept{}
}

// lock keeps others from writing. It makes the directory if it isn't there.
func (w *writer) lock(ctx context.Context) (unlock func(), err error) {
	w.looked = false
	path := w.dir.path("lock")
	if _, same := w.locked.at(path); !same {
		if err := private.MakeOwnDir(string(w.dir)); err != nil {
			return nil, err
		}
		if _, err := w.locked.open(path, os.O_CREATE|os.O_RDWR); err != nil {
			return nil, err
		}
	}
	fd := int(w.locked.Fd())
	if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) != nil { // only who has to wait needs a clock
		ctx, cancel := context.WithTimeout(ctx, lockLimit)
		defer cancel()
		if err := flock.Lock(ctx, fd); err != nil {
			w.locked.close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
	}
	return func() { _ = unix.Flock(fd, unix.LOCK_UN) }, nil
}

// close closes the files. What the index knows it goes on knowing.
func (w *writer) close() {
	w.locked.close()
	w.newer.close()
	w.older.close()
}

// durability says whether what is written down has to be on the disk before the call returns.
type durability bool

const (
	lazily durability = false // when the kernel writes it; a crash of the machine before that loses it
	onDisk durability = true
)

// append adds records, all or none of them. The caller has the lock. highest is the highest
// number before. A crash of the machine may leave half a line, which then doesn't count.
func (w *writer) append(when durability, highest int, records ...*Record) error {
	if len(records) == 0 {
		return nil
	}
	add := append(make([]byte, 0, 4<<10), '\n') // a writer that was killed may have left half a line
	spots := make([]spot, len(records))         // in what is added
	for i, r := range records {
		highest = max(highest, r.Number)
		begin := len(add)
		var err error
		if add, err = appendLine(add, highest, r); err != nil {
			return err
		}
		spots[i] = spot{at: int64(begin), size: len(add) - begin - 1, number: r.Number}
		if i == 0 { // the others are about as long
			add = slices.Grow(add, len(add)*(len(records)-1))
		}
	}
	size, err := w.open(len(add))
	if err != nil {
		return err
	}
	skip := 1
	if size > 0 && size != w.mark.end {
		var end [1]byte
		if _, err := w.newer.ReadAt(end[:], size-1); err != nil {
			return err
		}
		if end[0] != '\n' {
			skip = 0
		}
	}
	_, err = w.newer.Write(add[skip:])
	if err == nil && when == onDisk {
		err = unix.Fdatasync(int(w.newer.Fd()))
	}
	if err != nil { // such as where the disk is full
		w.looked = false
		return errors.Join(err, w.newer.Truncate(size))
	}
	w.there = size + int64(len(add)-skip)
	if !w.knows(size) {
		return nil
	}
	for i, r := range records {
		l, at := add[spots[i].at:], &spots[i]
		at.at += size - int64(skip)
		w.mark = markOf(l[:at.size], at.at)
		p := r.place()
		p.cookie = 0
		w.spots[p] = append(w.spots[p], *at)
	}
	w.size, w.highest = w.there, highest
	return nil
}

// open opens the newer file for so many bytes more.
func (w *writer) open(more int) (size int64, err error) {
	for {
		size, err := w.follow(os.O_CREATE)
		if err != nil || size == 0 || size+int64(more) <= maxSize {
			return size, err
		}
		if err := os.Rename(w.dir.path(newer), w.dir.path(older)); err != nil {
			return 0, err
		}
		w.looked = false
	}
}
