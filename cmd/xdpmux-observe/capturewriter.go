package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cmd/internal/capture"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// captureWriter writes a pcapng file. The file gets its name when all is written.
type captureWriter struct {
	*capture.Writer
	name  string
	part  string   // what it is called until then; empty: a pipe or device, written as it is
	force bool     // put it in place of a file that is there
	file  *os.File // nil: standard output
}

// toStdout is a captureWriter for standard output.
func toStdout(out *output.Printer) *captureWriter {
	return &captureWriter{Writer: capture.NewWriter(out.Stdout, section()), name: "standard output"}
}

func createCapture(name string, force bool) (_ *captureWriter, err error) {
	w := &captureWriter{name: name, force: force}
	if w.file, w.part, err = output.Create(name, force); err != nil {
		return nil, err
	}
	w.Writer = capture.NewWriter(w.file, section())
	return w, nil
}

// section is who writes a capture, and where.
func section() capture.Section {
	s := capture.Section{Application: "xdpmux " + output.Version()}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		s.Hardware = unix.ByteSliceToString(uts.Machine[:])
		s.OS = unix.ByteSliceToString(uts.Sysname[:]) + " " + unix.ByteSliceToString(uts.Release[:])
	}
	return s
}

// finish gives the file its name, unless not all could be written. Then it leaves nothing of it.
func (w *captureWriter) finish() error {
	if err := errors.Join(w.Flush(), w.close()); err != nil {
		return errors.Join(output.CantWrite(w.name, err), w.remove())
	}
	return w.rename()
}

// keep gives the file its name, also if not all could be written. Then it has the packets up to
// some before the error, which says how many are lost.
func (w *captureWriter) keep() error {
	var failed error
	if err := w.Flush(); err != nil {
		failed = w.cutOff(err)
	}
	if err := w.close(); err != nil && failed == nil {
		failed = output.CantWrite(w.name, err)
	}
	return errors.Join(failed, w.rename())
}

// cutOff leaves the whole packets of a file that couldn't be written to its end, because of err.
func (w *captureWriter) cutOff(err error) error {
	size, lost := w.Whole()
	failed := output.CantWrite(w.name, err)
	if w.part == "" {
		return failed
	}
	if err := w.file.Truncate(size); err != nil {
		return errors.Join(failed, output.CantWrite(w.name, err))
	}
	failed.Remedy = fmt.Sprintf("the last packets, %d of them, are lost; the file has those before, and can be read", lost)
	return failed
}

// rename gives the file its name. If it can't, the packets stay where the error says.
func (w *captureWriter) rename() error {
	if w.part == "" {
		return nil
	}
	if err := output.Rename(w.part, w.name, w.force); err != nil {
		return &xdp.Error{Kind: xdp.ErrInvalid, Err: err,
			Msg: fmt.Sprintf("can't name the file %s: %v", w.name, err), Remedy: "the packets are in " + w.part}
	}
	return nil
}

func (w *captureWriter) close() error {
	if w.file == nil {
		return nil
	}
	return w.file.Close()
}

// discard leaves nothing of the file.
func (w *captureWriter) discard() error { return errors.Join(w.close(), w.remove()) }

func (w *captureWriter) remove() error {
	if w.part == "" {
		return nil
	}
	return os.Remove(w.part)
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
			return nil, output.CantWrite(v.path(name), err)
		case in != nil && os.SameFile(in, info):
			return nil, &xdp.Error{Kind: xdp.ErrInvalid, Msg: v.path(name) + " is the capture itself", Remedy: "choose another directory with --out"}
		case !force:
			return nil, output.AlreadyThere(v.path(name))
		}
	}
	return v, nil
}

func (v *captureFiles) path(name string) string { return filepath.Join(v.dir, name+".pcapng") }

// write may be called for several names at a time.
func (v *captureFiles) write(name string, at time.Time, data []byte, length int) error {
	w, err := v.file(name)
	if err != nil {
		return err
	}
	if err := w.Write(capture.Record{Time: at, Data: data, Length: length}); err != nil {
		return output.CantWrite(w.name, err)
	}
	return nil
}

// file is the file of that name, which is made for its first packet.
func (v *captureFiles) file(name string) (*captureWriter, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if w := v.open[name]; w != nil {
		return w, nil
	}
	w, err := createCapture(v.path(name), v.force)
	if err != nil {
		return nil, err
	}
	v.open[name] = w
	if _, err := w.AddInterface(capture.Interface{Name: name}); err != nil {
		return nil, output.CantWrite(w.name, err)
	}
	return w, nil
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
