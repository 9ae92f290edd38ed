package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// captureWriter writes a pcapng file. The file gets its name when all is written.
type captureWriter struct {
	name  string
	part  string // what it is called until then; empty: a pipe or device, written as it is
	force bool   // put it in place of a file that is there
	file  *os.File
	ng    *pcapgo.NgWriter
}

func createCapture(name string, force bool) (_ *captureWriter, err error) {
	w := &captureWriter{name: name, force: force}
	info, err := os.Stat(name)
	switch {
	case err == nil && !info.Mode().IsRegular():
		w.file, err = os.OpenFile(name, os.O_WRONLY, 0)
	case err == nil && !force:
		return nil, alreadyThere(name)
	default:
		w.part = filepath.Join(filepath.Dir(name), fmt.Sprintf(".%s.%d", filepath.Base(name), os.Getpid()))
		w.file, err = os.OpenFile(w.part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	}
	if err != nil {
		return nil, cantWrite(name, err)
	}
	w.ng, err = pcapgo.NewNgWriter(w.file, layers.LinkTypeEthernet)
	if err != nil {
		return nil, errors.Join(err, w.discard())
	}
	return w, nil
}

func alreadyThere(name string) error {
	return &xdp.Error{Kind: xdp.ErrInvalid, Err: fs.ErrExist, Msg: name + " is there already", Remedy: "choose another name; --force replaces it"}
}

func cantWrite(name string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return &xdp.Error{Kind: xdp.ErrInvalid, Err: err, Msg: fmt.Sprintf("can't write %s: %v", name, err)}
}

func (w *captureWriter) write(at time.Time, data []byte, length int) error {
	info := gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(data), Length: length}
	if err := w.ng.WritePacket(info, data); err != nil {
		return cantWrite(w.name, err)
	}
	return nil
}

// finish gives the file its name. If it can't, the packets stay where the error says.
func (w *captureWriter) finish() error {
	if err := errors.Join(w.ng.Flush(), w.file.Close()); err != nil {
		return errors.Join(cantWrite(w.name, err), w.remove())
	}
	if w.part == "" {
		return nil
	}
	if err := rename(w.part, w.name, w.force); err != nil {
		return &xdp.Error{Kind: xdp.ErrInvalid, Err: err,
			Msg: fmt.Sprintf("can't name the file %s: %v", w.name, err), Remedy: "the packets are in " + w.part}
	}
	return nil
}

// discard leaves nothing of the file.
func (w *captureWriter) discard() error { return errors.Join(w.file.Close(), w.remove()) }

func (w *captureWriter) remove() error {
	if w.part == "" {
		return nil
	}
	return os.Remove(w.part)
}

// rename replaces a file that is there only by force.
func rename(from, to string, force bool) error {
	if !force {
		err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
			return err
		}
		// A file system that doesn't know how, such as NFS.
		if _, err := os.Lstat(to); err == nil {
			return fs.ErrExist
		}
	}
	return os.Rename(from, to)
}

// captureFiles writes packets into several files of one directory.
type captureFiles struct {
	dir   string
	names []string // what there may be; the files' names go on with .pcapng
	force bool

	mu   sync.Mutex // guards open
	open map[string]*captureWriter
}

// newCaptureFiles finds out before the first packet whether the files can be written. It
// refuses to replace a file that is there, unless by force, and the input in any case. input is
// nil if packets come from no file.
func newCaptureFiles(dir string, names []string, force bool, input *captureFile) (*captureFiles, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, &xdp.Error{Kind: xdp.ErrInvalid, Err: err, Msg: fmt.Sprintf("can't make directory %s: %v", dir, errors.Unwrap(err))}
	}
	v := &captureFiles{dir: dir, names: names, force: force, open: map[string]*captureWriter{}}
	var in os.FileInfo
	if input != nil {
		var err error
		if in, err = input.file.Stat(); err != nil {
			return nil, err
		}
	}
	for _, name := range v.names {
		info, err := os.Stat(v.path(name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, cantWrite(v.path(name), err)
		case in != nil && os.SameFile(in, info):
			return nil, &xdp.Error{Kind: xdp.ErrInvalid, Msg: v.path(name) + " is the capture itself", Remedy: "choose another directory with --out"}
		case !force:
			return nil, alreadyThere(v.path(name))
		}
	}
	return v, nil
}

func (v *captureFiles) path(name string) string { return filepath.Join(v.dir, name+".pcapng") }

// write may be called for several names at a time.
func (v *captureFiles) write(name string, at time.Time, data []byte, length int) error {
	v.mu.Lock()
	w := v.open[name]
	if w == nil {
		var err error
		if w, err = createCapture(v.path(name), v.force); err != nil {
			v.mu.Unlock()
			return err
		}
		v.open[name] = w
	}
	v.mu.Unlock()
	return w.write(at, data, length)
}

// finish gives their names to the files that got packets. It removes those that an earlier call has
// left of the others.
func (v *captureFiles) finish() error {
	var errs []error
	for _, name := range v.names {
		switch w := v.open[name]; {
		case w != nil:
			errs = append(errs, w.finish())
		case v.force:
			if err := os.Remove(v.path(name)); !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

func (v *captureFiles) discard() error {
	var errs []error
	for _, w := range v.open {
		errs = append(errs, w.discard())
	}
	return errors.Join(errs...)
}
