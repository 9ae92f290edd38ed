package agent

import (
	"context"
	"errors"
	"io/fs"
	"maps"
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
	named  bool              // the file names some
	images map[string]string // what they stand for, with digests; nil: they are to be fetched
	lacks  error
	retry  time.Time      // not to be fetched again before
	coming *desired.State // is state once they are here; nil: nobody fetches
	boot   bool           // what comes is what the agent found when it started
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
		before := f.err
		if f.read(ctx, now, path, a.Dir) {
			continue
		}
		files[path] = f
		a.writing = a.writing || !f.writing.IsZero()
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
	a.files, a.state = files, state
	return nil
}

// fetchPatience is how long the agent waits for the images of the files that it reads. Then it goes
// on without them, as a registry may be silent for minutes.
const fetchPatience = time.Second

// fetchAnew has the images fetched with the next call of fetch.
func (f *file) fetchAnew() { f.images, f.coming, f.retry = nil, nil, time.Time{} }

// fetch gets the images that a file names, unless they are here or somebody is at it. Until they
// have been asked for, what the file declared before stays. If one can't be had then, it is tried
// again; the others stay what they were, though their tags may have moved.
func (a *agent) fetch(ctx context.Context, path string, f *file, patience time.Time) {
	if !f.named || f.coming != nil || f.images != nil && f.lacks == nil || time.Now().Before(f.retry) {
		return
	}
	// A change that is being tried may use the state that is there.
	s, err := desired.Parse(ctx, path, a.Dir, []byte(f.data))
	if err != nil {
		return // it was parsed before, so ctx has ended
	}
	if a.Fetch == nil {
		f.state, f.images = s, map[string]string{}
		return
	}
	f.coming = s
	here := maps.Clone(f.images)
	done := make(chan []desired.Fetched, 1)
	a.goTry(func() {
		done <- s.Fetch(ctx, func(ctx context.Context, r image.Request) (*image.Image, error) {
			if pinned := here[r.Object]; pinned != "" {
				r.Object = pinned
			}
			return a.Fetch(ctx, r)
		})
	})
	select {
	case all := <-done:
		a.fetched(path, f, all)
	case <-time.After(time.Until(patience)):
		a.goTry(func() {
			all := <-done
			a.post(ctx, func() {
				if a.files[path] != f || f.coming != s {
					return // the file has changed meanwhile
				}
				boot := f.boot && f.state == nil
				a.fetched(path, f, all)
				a.read(ctx, !boot)
			})
		})
	}
}

// fetched takes what has become of the images of f.coming.
func (a *agent) fetched(path string, f *file, all []desired.Fetched) {
	if f.images == nil {
		f.images = map[string]string{}
	}
	var errs []error
	for _, one := range all {
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
	f.state, f.coming, f.lacks = f.coming, nil, errors.Join(errs...)
	f.retry = time.Now().Add(a.Every)
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
