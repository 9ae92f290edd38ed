package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
)

// megabyte is the unit of --size, as tcpdump's -C has it.
const megabyte = 1_000_000

// The largest values of --size and --files.
const (
	maxSize  = 1_000_000
	maxFiles = 100_000
)

// rotation is where a capture goes on when a file has its size. The names are those of tcpdump's
// -C and -W.
type rotation struct {
	name   string
	size   int64 // bytes of a file; 0: there is one file, whatever its size
	files  int   // how many are kept; 0: all
	force  bool
	n      int   // the file that is written, from 0
	failed error // why there is no further file
}

// path is what the file is called that is written.
func (r *rotation) path() string {
	switch {
	case r.files > 1:
		return fmt.Sprintf("%s%0*d", r.name, len(fmt.Sprint(r.files-1)), r.n%r.files)
	case r.files == 0 && r.n > 0:
		return fmt.Sprint(r.name, r.n)
	}
	return r.name
}

// check refuses files that are there. Of an endless row of files only the first is looked at here.
func (r rotation) check() error {
	if r.size == 0 {
		return nil
	}
	for ; r.n < max(1, r.files); r.n++ {
		info, err := os.Stat(r.path())
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return output.CantWrite(r.path(), err)
		case !info.Mode().IsRegular():
			return cmdline.UsageError(r.path()+" is not a file, so --size can't begin another one", "")
		case !r.force:
			return output.AlreadyThere(r.path())
		}
	}
	return nil
}

// rotate begins the next file if this one has its size.
func (w *pointWriter) rotate() error {
	r := &w.rotation
	if r.size == 0 || w.Size() <= r.size {
		return nil
	}
	if w.Flush() != nil {
		return nil // the write that comes fails too, and then this packet is among the lost
	}
	if r.failed = w.keep(); r.failed != nil {
		return r.failed
	}
	r.n++
	own := r.files > 0 && r.n >= r.files // the file there is one of this capture
	next, err := createCapture(r.path(), r.force || own)
	if err != nil {
		r.failed = err
		return err
	}
	w.captureWriter, w.points, w.last, w.begun = next, map[point]*written{}, nil, time.Now()
	w.begin()
	return nil
}
