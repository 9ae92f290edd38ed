package agent

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/internal/input"
)

// How long the agent waits for more of what has begun to happen to the files.
const (
	filesSettle = 100 * time.Millisecond
	filesLimit  = time.Second // after which it reads the files although they still change
)

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
	if err == nil && (f.state == nil && f.coming == nil || string(data) != f.data) {
		var s *desired.State
		if s, err = desired.Parse(ctx, path, dir, data); err == nil {
			f.data, f.named = string(data), s.HasImages()
			f.fetchAnew()
			f.boot = false
			if !f.named {
				f.state = s
			}
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
	a.unsure, a.writing, a.lacking = nil, false, false
	patience := now.Add(fetchPatience)
	for _, path := range paths {
		f := a.files[path]
		if f == nil {
			f = &file{}
		}
		before, alone := f.err, f.writing.IsZero()
		if f.read(ctx, now, path, a.Dir) {
			continue
		}
		files[path] = f
		if a.writing = a.writing || !f.writing.IsZero(); alone && !f.writing.IsZero() {
			a.Log.Info("somebody writes to this file: until that ends, for ten seconds at most, what it declared before stays", "file", path)
		}
		a.fetch(ctx, path, f, patience)
		a.lacking = a.lacking || f.lacks != nil
		if f.state != nil {
			if err := state.Add(f.state); err != nil { // another file says how changes are tried
				f.err = err
				state.Interfaces = append(state.Interfaces, f.state.Interfaces...)
			}
		}
		switch {
		case f.state == nil && f.coming == nil:
			a.unsure = errUnsure
		case f.state == nil && a.unsure == nil:
			a.unsure = errComing
		}
		if f.err != nil && (before == nil || before.Error() != f.err.Error()) {
			a.count(f.err)
			a.warn("this file can't be used: what it declared before stays", f.err, "file", path)
		} else if f.err == nil && before != nil {
			a.Log.Info("the file can be used again", "file", path)
		}
	}
	for path := range a.files {
		if files[path] == nil {
			a.Log.Info("the file is gone, and what it declared with it", "file", path)
		}
	}
	a.files, a.state = files, state
	return nil
}

// readSoon reads the files when they have settled.
func (a *agent) readSoon(now time.Time) {
	if a.until.IsZero() {
		a.until = now.Add(filesLimit)
	}
	a.reads = now.Add(filesSettle)
	if a.until.Before(a.reads) {
		a.reads = a.until
	}
}

// read reads the files, and has all interfaces looked at that they declare. fresh says that somebody
// may have changed the files while this agent ran.
func (a *agent) read(ctx context.Context, fresh bool) {
	now := time.Now()
	a.news = true
	a.reads, a.until = time.Time{}, time.Time{}
	w, err := watchFiles(a.Dir)
	if err != nil {
		a.warn("changes of the files can't be seen at once", err, "directory", a.Dir)
	}
	a.watch.close()
	a.watch = w
	// From here on a change is seen, so what is read now doesn't get old unseen.
	before := a.contents()
	first := a.state == nil
	if err := a.readFiles(ctx, now); err != nil {
		if a.unread == nil || a.unread.Error() != err.Error() {
			a.count(err)
			a.warn("the files can't be read: all stays as it is", err, "directory", a.Dir)
		}
		a.unread = err
		return
	}
	a.unread = nil
	for path := range a.files {
		a.watch.add(path)
	}
	switch {
	case a.writing:
		a.reads = now.Add(time.Second)
	case a.lacking:
		a.reads = time.Now().Add(a.Every)
	}
	changed := !maps.Equal(before, a.contents())
	if changed {
		a.memory.Generation++
	}
	if changed || first {
		a.Log.Info("the files have been read", "directory", a.Dir, "files", len(a.files), "generation", a.memory.Generation)
	}
	for _, d := range a.devices {
		a.declare(d, now)
	}
	for _, k := range a.kept {
		k.fresh = k.fresh || fresh
		k.lookAt(now)
	}
}

// contents are what the files hold, as far as they could be read.
func (a *agent) contents() map[string]string {
	all := map[string]string{}
	for path, f := range a.files {
		if f.state != nil || f.coming != nil {
			all[path] = f.data
		}
	}
	return all
}
