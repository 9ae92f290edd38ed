package history

import (
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// index knows where the lines of each interface lie, for who asks for the newest records of many. It
// reads the log once, and then what has come since. Only what is asked for is kept in memory.
type index struct {
	dir     directory
	file    unix.Stat_t      // of the newer file, as far as it was read
	highest int              // number of a record
	spots   map[place][]spot // without cookies; that of the last line is the last
}

// update reads what is new. The caller has the lock.
func (x *index) update() error {
	now, err := x.stat()
	if err != nil {
		return err
	}
	since := x.file.Size
	switch {
	case x.spots == nil, since == 0, now.Ino != x.file.Ino, now.Size < since:
		x.spots, since = map[place][]spot{}, 0
	case now.Size == since:
		return nil
	}
	type found struct {
		place
		spot
	}
	var news []found // the last line first
	highest := 0
	err = x.dir.backwards(since, func(l line, at spot) bool {
		n, _, ok := l.fields()
		if !ok {
			return true
		}
		if highest == 0 {
			highest = n
		}
		if p, ok := l.place(); ok {
			news = append(news, found{p, at})
		}
		return true
	})
	if err != nil {
		x.spots = nil // it has a part only
		return err
	}
	x.file, x.highest = now, max(x.highest, highest)
	for _, n := range slices.Backward(news) {
		x.spots[n.place] = append(x.spots[n.place], n.spot)
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

// last finds the newest record of an interface that knows what runs there, but for the one of number
// except; nil: there is none. The caller has had the lock since update.
func (x *index) last(p place, except int) (*Record, error) {
	n := newestOf(p, except)
	p.cookie = 0
	files := map[string]*os.File{}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	for _, at := range slices.Backward(x.spots[p]) {
		if files[at.file] == nil {
			f, err := os.Open(filepath.Join(string(x.dir), at.file))
			if err != nil {
				return nil, err
			}
			files[at.file] = f
		}
		l := make(line, at.size)
		if _, err := files[at.file].ReadAt(l, at.at); err != nil {
			return nil, err
		}
		if !n.look(l) {
			break
		}
	}
	return n.record(), nil
}
