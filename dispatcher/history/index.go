package history

import (
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// index has the lines of each interface, for who asks for the newest records of many. It reads the
// log once, and then what has come since. Only what is asked for is decoded.
type index struct {
	dir     directory
	file    unix.Stat_t   // of the newer file, as far as it was read
	highest int           // number of a record
	lines   map[int]lines // by the index of the interface, in whichever network namespace; the last one last
}

// update reads what is new. The caller has the lock.
func (x *index) update() error {
	now, err := x.stat()
	if err != nil {
		return err
	}
	var log lines
	if x.lines != nil && now.Ino == x.file.Ino && now.Size == x.file.Size {
		return nil
	}
	if x.lines != nil && now.Ino == x.file.Ino && now.Size >= x.file.Size {
		log, _, err = x.dir.read(now.Size - x.file.Size + 1) // with the newline before
	} else {
		x.lines = map[int]lines{}
		log, _, err = x.dir.read(2 * maxSize)
	}
	if err != nil {
		return err
	}
	x.file = now
	for i := len(log) - 1; i >= 0; i-- {
		x.add(log[i])
	}
	return nil
}

func (x *index) stat() (now unix.Stat_t, err error) {
	path := filepath.Join(string(x.dir), newer)
	if err := unix.Stat(path, &now); err != nil && err != unix.ENOENT {
		return now, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return now, nil
}

// wrote takes records that were appended since update, all under one lock, so that they needn't
// be read again.
func (x *index) wrote(records ...*Record) {
	now, err := x.stat()
	if x.lines == nil || err != nil {
		return // they are read with the next update
	}
	x.file = now
	for _, r := range records {
		l, err := lineOf(x.highest, r)
		if err != nil {
			x.lines = nil // read anew
			return
		}
		x.add(l)
	}
}

// add takes a line that comes after those that were added before.
func (x *index) add(l line) {
	highest, _, ok := l.fields()
	if !ok {
		return
	}
	x.highest = highest
	if i, ok := l.interfaceIndex(); ok {
		x.lines[i] = append(x.lines[i], l)
	}
}

// last is what last of lines is.
func (x *index) last(p place, except int) *Record {
	newestFirst := slices.Clone(x.lines[p.index])
	slices.Reverse(newestFirst)
	return newestFirst.last(p, except)
}
