package history

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// index has the newest records of each interface, for who asks for those of many. It reads the
// log once, and then what has come since.
type index struct {
	dir     directory
	file    unix.Stat_t // of the newer file, as far as it was read
	highest int         // number of a record
	records map[place]map[int]*Record
}

// update reads what is new. The caller has the lock.
func (x *index) update() error {
	now, err := x.stat()
	if err != nil {
		return err
	}
	var log lines
	if x.records != nil && now.Ino == x.file.Ino && now.Size == x.file.Size {
		return nil
	}
	if x.records != nil && now.Ino == x.file.Ino && now.Size >= x.file.Size {
		log, _, err = x.dir.read(now.Size - x.file.Size + 1) // with the newline before
	} else {
		x.records = map[place]map[int]*Record{}
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
	if x.records == nil || err != nil {
		return // they are read with the next update
	}
	x.file = now
	for _, r := range records {
		r := *r // its owner goes on with it
		x.put(&r)
		x.highest = max(x.highest, r.Number)
	}
}

// add takes a line that comes after those that were added before.
func (x *index) add(l line) {
	r := l.record()
	if r == nil {
		return
	}
	x.highest, _, _ = l.fields()
	x.put(r)
}

func (x *index) put(r *Record) {
	if x.records[r.place()] == nil {
		x.records[r.place()] = map[int]*Record{}
	}
	x.records[r.place()][r.Number] = r
}

// last is what last of lines is.
func (x *index) last(p place, except int) (newest *Record) {
	for number, r := range x.records[p] {
		if number != except && r.After != nil && (newest == nil || number > newest.Number) {
			newest = r
		}
	}
	return newest
}
