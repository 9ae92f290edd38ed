package agent

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/internal/input"
)

// file is a state file.
type file struct {
	data    string         // what it held when it could be read last
	state   *desired.State // that, parsed; nil: it never could be
	err     error          // why it can't be now
	writing time.Time      // since when somebody writes to it; zero: nobody does
}

// writerPatience is how long a file that somebody has open for writing is left alone.
const writerPatience = 10 * time.Second

// read reads a file anew. If that fails, it stays as it was, but for err. gone says that it is
// there no more.
func (f *file) read(ctx context.Context, now time.Time, path, dir string) (gone bool) {
	data, writing, err := readWhole(ctx, path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true
	case err == nil && writing:
		if f.writing.IsZero() {
			f.writing = now
		}
		if now.Sub(f.writing) < writerPatience {
			return false
		}
	}
	f.writing = time.Time{}
	if err == nil {
		var s *desired.State
		if s, err = desired.Parse(ctx, path, dir, data); err == nil {
			f.data, f.state = string(data), s
		}
	}
	f.err = err
	return false
}

// readWhole reads a file. writing says that somebody has it open for writing, so that more may
// come. Whoever opens it for writing meanwhile waits for the end of this, by a lease
// (F_SETLEASE of fcntl(2)). A file system without leases is read as it is.
func readWhole(ctx context.Context, path string) (data []byte, writing bool, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, false, err
	}
	defer f.Close() // and with it the lease
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	writing = errors.Is(err, unix.EAGAIN)
	data, err = input.ReadFile(ctx, path, desired.FileLimit)
	return data, writing, err
}

// readFiles reads the files of the directory, and says what they declare together. If the
// directory can't be read, all stays as it was.
func (a *agent) readFiles(ctx context.Context, now time.Time) error {
	paths, err := desired.Files(a.Dir)
	if err != nil {
		return err
	}
	files := map[string]*file{}
	state := &desired.State{Interfaces: []desired.Interface{}}
	a.unsure, a.writing = false, false
	for _, path := range paths {
		f := a.files[path]
		if f == nil {
			f = &file{}
		}
		before := f.err
		if f.read(ctx, now, path, a.Dir) {
			continue
		}
		files[path] = f
		a.writing = a.writing || !f.writing.IsZero()
		if f.state != nil {
			if err := state.Add(f.state); err != nil { // another file says how changes are tried
				f.err = err
				state.Interfaces = append(state.Interfaces, f.state.Interfaces...)
			}
		}
		if f.state == nil {
			a.unsure = true
		}
		if f.err != nil && (before == nil || before.Error() != f.err.Error()) {
			a.count(f.err)
			a.warn("this file can't be used: what it declared before stays", f.err, "file", path)
		} else if f.err == nil && before != nil {
			a.Log.Info("the file can be used again", "file", path)
		}
	}
	a.files, a.state = files, state
	return nil
}
