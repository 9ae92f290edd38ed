package agent

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/internal/input"
)

// file is a state file.
type file struct {
	data    string         // what it held when it could be read last
	state   *desired.State // that, parsed; nil: it never could be
	err     error          // why it can't be now
	writing time.Time      // since when somebody writes to it; zero: nobody does

	// Images are fetched once for what the file holds; until that has succeeded, lacks is why not.
	images map[string]string // what they stand for, with digests; nil: they are to be fetched
	lacks  error
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
	if err == nil && (f.state == nil || string(data) != f.data) {
		var s *desired.State
		if s, err = desired.Parse(ctx, path, dir, data); err == nil {
			f.data, f.state, f.images = string(data), s, nil
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
	a.unsure, a.writing, a.lacking = false, false, false
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
		a.fetch(ctx, path, f)
		a.lacking = a.lacking || f.lacks != nil
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

// fetch gets the images that a file names, unless they are here. If one can't be had, the next call
// tries that again. The others stay what they were then, though their tags may have moved.
func (a *agent) fetch(ctx context.Context, path string, f *file) {
	if a.Fetch == nil || f.state == nil || !f.state.HasImages() || f.images != nil && f.lacks == nil {
		return
	}
	// A change that is being tried may use the state that is there.
	s, err := desired.Parse(ctx, path, a.Dir, []byte(f.data))
	if err != nil {
		return // it was parsed before, so ctx has ended
	}
	if f.images == nil {
		f.images = map[string]string{}
	}
	var errs []error
	for _, one := range s.Fetch(ctx, func(ctx context.Context, r image.Request) (*image.Image, error) {
		if here := f.images[r.Object]; here != "" {
			r.Object = here
		}
		return a.Fetch(ctx, r)
	}) {
		if one.Err != nil {
			errs = append(errs, one.Err)
			if f.lacks == nil || !strings.Contains(f.lacks.Error(), one.Err.Error()) {
				a.count(one.Err)
				a.warn("this image can't be had, and the chains that want it stay as they are", one.Err, "image", one.Object, "file", path)
			}
			continue
		}
		if f.images[one.Object] == "" {
			a.tell(one.Image)
		}
		f.images[one.Object] = one.Image.Pinned()
	}
	f.state, f.lacks = s, errors.Join(errs...)
}

// tell tells what an image stands for.
func (a *agent) tell(i *image.Image) {
	if i.Unkept != "" {
		a.Log.Warn("this image can't be kept for when the registry is away", "image", i.Object, "error", i.Unkept)
	}
	switch {
	case i.Unreachable != "":
		a.Log.Warn("the registry can't be asked, so this tag is taken for what it stood for before", "image", i.Object, "digest", i.Digest, "resolved", i.Resolved, "error", i.Unreachable)
	case i.Before != "":
		a.Log.Info("this tag has moved", "image", i.Object, "digest", i.Digest, "before", i.Before)
	default:
		a.Log.Info("this image is here", "image", i.Object, "digest", i.Digest)
	}
}
