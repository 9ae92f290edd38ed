package history

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"os"
	"slices"
)

// index knows where the lines of each interface lie, for who asks for the newest records of many. It
// reads the log once, and then what others have added since. Only what is asked for is kept in memory.
type index struct {
	states
	dir     directory
	newer   kept
	older   kept
	read    inode // of the newer file that was read
	looked  bool  // whether there is the size of the newer file, as nobody else has the lock
	there   int64
	size    int64            // of the newer file, as far as it was read
	mark    mark             // of what was read
	highest int              // number of a record
	spots   map[place][]spot // without cookies; nil: the log wasn't read
	buffer  []byte           // of the line that was read last
}

// mark is how the last line begins that was read. The checksum and the number of a record make it one of
// its kind. It isn't there any more if somebody has truncated the file, or written another text into it.
type mark struct {
	at, end int64 // of the line, with its newline
	text    []byte
}

func markOf(l line, at int64) mark {
	return mark{at, at + int64(len(l)) + 1, bytes.Clone(l[:min(64, len(l))])}
}

// follow opens the newer file if another one has taken its place, or else looks how large it is.
func (x *index) follow(flags int) (size int64, err error) {
	if x.looked {
		return x.there, nil
	}
	path := x.dir.path(newer)
	now, same := x.newer.at(path)
	if !same {
		x.older.close()
		if now, err = x.newer.open(path, os.O_RDWR|os.O_APPEND|flags); err != nil {
			x.forget()
			return 0, err
		}
		// After close, the kernel may have given the inode to another file.
		if x.read != x.newer.inode || now.Size < x.size || !x.marked() {
			x.forget()
		}
		x.read = x.newer.inode
	}
	x.looked, x.there = true, now.Size
	return now.Size, nil
}

// forget has the next update read all.
func (x *index) forget() {
	x.older.close()
	x.size, x.mark, x.spots = 0, mark{}, nil
}

// knows says whether the index has each line of a newer file of that size.
func (x *index) knows(size int64) bool { return x.spots != nil && x.size == size }

// marked says whether the file still has what was read.
func (x *index) marked() bool {
	now := make([]byte, len(x.mark.text))
	_, err := x.newer.ReadAt(now, x.mark.at)
	return err == nil && len(now) > 0 && bytes.Equal(now, x.mark.text)
}

// update reads what is new. The caller has the lock.
func (x *index) update() error {
	size, err := x.follow(0)
	switch {
	case errors.Is(err, fs.ErrNotExist): // no log, or only the older file
	case err != nil:
		return err
	case x.knows(size) && size > 0:
		return nil
	case size < x.size, !x.marked():
		x.forget()
	}
	if x.spots == nil {
		x.spots = map[place][]spot{}
	}
	highest, last := x.highest, mark{}
	err = x.dir.backwards(x.size, func(l line, at spot) bool {
		n, record, ok := l.fields()
		if !ok {
			return true
		}
		highest = max(highest, n)
		if last.text == nil && !at.older {
			last = markOf(l, at.at)
		}
		if p, ok := l.place(); ok {
			at.number, p.cookie = numberOf(record), 0
			x.spots[p] = append(x.spots[p], at)
		}
		return true
	})
	if err != nil {
		x.forget() // it has a part only
		return err
	}
	x.size, x.highest = size, highest
	if last.text != nil {
		x.mark = last
	}
	return nil
}

// last finds the newest record of an interface that knows what runs there, but for the one of number
// except; nil: there is none. The caller has had the lock since update.
func (x *index) last(p place, except int) (*Record, error) {
	of := p
	p.cookie = 0
	for below := math.MaxInt; ; {
		var newest spot // the last line of the record with the highest number
		for _, at := range x.spots[p] {
			if at.number < below && at.number != except && !at.before(newest) {
				newest = at
			}
		}
		if newest.number == 0 {
			return nil, nil
		}
		l, err := x.line(newest)
		if err != nil {
			return nil, err
		}
		if r := x.state(l); r != nil && r.place() == of && r.After != nil {
			return r, nil
		}
		below = newest.number
	}
}

// before says whether a line comes before another one: what it tells is older.
func (s spot) before(other spot) bool {
	switch {
	case s.number != other.number:
		return s.number < other.number
	case s.older != other.older:
		return s.older
	}
	return s.at < other.at
}

// line reads a line. It is good until the next one is read.
func (x *index) line(at spot) (line, error) {
	file := &x.newer
	if at.older {
		if file = &x.older; file.File == nil { // nobody replaces it but with the newer one
			if _, err := file.open(x.dir.path(older), os.O_RDONLY); err != nil {
				return nil, err
			}
		}
	}
	x.buffer = slices.Grow(x.buffer[:0], at.size)[:at.size]
	_, err := file.ReadAt(x.buffer, at.at)
	return x.buffer, err
}
