package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
)

// DefaultDir is where records are kept. It outlives a boot.
const DefaultDir = "/var/lib/xdpmux/history"

// directory holds the log: two files of lines. What is new is appended to the one file; when
// that is full it takes the place of the other. A record has a line when its change begins,
// and another one, which counts, when it ends. A line is
//
//	CHECKSUM HIGHEST RECORD
//
// of which the checksum is the CRC-32 of what follows it, in hexadecimal. HIGHEST is the
// highest number that a record has got so far: the last line tells it. The record is in JSON.
type directory string

const newer, older = "log", "log.old"

func (d directory) path(name string) string { return filepath.Join(string(d), name) }

// maxSize is how large each of the two files can get. A load on a thousand interfaces fits into
// one.
const maxSize = 4 << 20

// lines are those of the log, the last one first.
type lines []line

// line is one of the log, without the newline. Half of one counts, too.
type line []byte

// fewLines is so much of the log that the records that matter now are most likely in it.
const fewLines = 64 << 10

// spot is where a line lies.
type spot struct {
	older  bool // in the older file
	at     int64
	size   int
	number int // of its record
}

// chunk is how much of a file is in memory at a time, unless a line is longer.
const chunk = 64 << 10

// backwards calls f for each line, the last one first, until f returns false. The line is only good until
// f returns. Of the newer file it reads what comes from the byte since on; unless that is 0, it reads no
// other file.
func (d directory) backwards(since int64, f func(line, spot) bool) error {
	for _, name := range []string{newer, older} {
		if since > 0 && name != newer {
			break
		}
		if more, err := backwardsIn(d.path(name), since, func(l line, at int64) bool {
			return f(l, spot{older: name == older, at: at, size: len(l)})
		}); err != nil || !more {
			return err
		}
	}
	return nil
}

// backwardsIn is backwards for one file, which may be none. more is what f said last.
func backwardsIn(path string, since int64, f func(l line, at int64) bool) (more bool, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	var text []byte // from begin on
	var ends []int  // where its lines end
	rest := 0       // how much of text f hasn't had: the end of a line whose beginning comes before
	for begin := info.Size(); begin > since; {
		size := int(min(begin-since, int64(max(chunk, rest))))
		begin -= int64(size)
		before := text[:rest]
		if text = text[:cap(text)]; len(text) < size+rest {
			text = make([]byte, size+max(rest, chunk))
		}
		text = text[:size+copy(text[size:], before)]
		switch n, err := file.ReadAt(text[:size], begin); err {
		case nil:
		case io.EOF: // who wrote has taken back what a full disk cut off
			size, text = n, text[:n]
		default:
			return false, err
		}
		ends = ends[:0]
		for at := 0; ; at = ends[len(ends)-1] + 1 {
			next := bytes.IndexByte(text[at:size], '\n')
			if next < 0 {
				break
			}
			ends = append(ends, at+next)
		}
		rest = len(text)
		for _, end := range slices.Backward(ends) {
			if l := text[end+1 : rest]; len(l) > 0 && !f(l, begin+int64(end)+1) {
				return false, nil
			}
			rest = end
		}
		if l := text[:rest]; begin == since && len(l) > 0 && !f(l, begin) {
			return false, nil
		}
	}
	return true, nil
}

// read reads the log, or its last bytes up to a limit. whole says that there is no more.
func (d directory) read(limit int64) (all lines, whole bool, err error) {
	whole = true
	err = d.backwards(0, func(l line, _ spot) bool {
		if limit -= int64(len(l) + 1); limit < 0 {
			whole = false
		} else {
			all = append(all, bytes.Clone(l))
		}
		return whole
	})
	return all, whole, err
}

// end reads the end of the log, with one whole line at least.
func (d directory) end() (lines, error) {
	log, whole, err := d.read(fewLines)
	if err == nil && !whole && log.highest() == 0 {
		log, _, err = d.read(2 * maxSize)
	}
	return log, err
}

// recent reads the end of the log, as far as it holds the newest record of an interface. The
// caller has the lock.
func (d directory) recent(p place, except int) (last *Record, highest int, err error) {
	n, read, enough := newestOf(p, except), 0, fewLines
	err = d.backwards(0, func(l line, _ spot) bool {
		if highest == 0 {
			highest, _, _ = l.fields()
		}
		more := n.look(l)
		if read += len(l) + 1; read > enough {
			last = n.record()
			enough *= 8
		}
		return more && last == nil
	})
	if last == nil {
		last = n.record()
	}
	return last, highest, err
}

// checksumSize is the length of the checksum and the space after it.
const checksumSize = 9

// appendLine appends the line of a record, with its newline. highest is the highest number before.
func appendLine(to []byte, highest int, r *Record) ([]byte, error) {
	record, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	begin := len(to)
	to = append(to, "12345678 "...) // the place of the checksum
	to = append(strconv.AppendInt(to, int64(max(highest, r.Number)), 10), ' ')
	to = append(to, record...)
	copy(to[begin:], fmt.Appendf(nil, "%08x", crc32.ChecksumIEEE(to[begin+checksumSize:])))
	return append(to, '\n'), nil
}

// fields takes a line apart. ok is false if it is damaged.
func (l line) fields() (highest int, record []byte, ok bool) {
	if len(l) < checksumSize || l[checksumSize-1] != ' ' {
		return 0, nil, false
	}
	sum, err := strconv.ParseUint(string(l[:checksumSize-1]), 16, 32)
	if err != nil || uint32(sum) != crc32.ChecksumIEEE(l[checksumSize:]) {
		return 0, nil, false
	}
	number, record, _ := bytes.Cut(l[checksumSize:], []byte{' '})
	highest, err = strconv.Atoi(string(number))
	return highest, record, err == nil
}

// record is the record of a line; nil: the line is damaged.
func (l line) record() *Record {
	var r Record
	if _, text, ok := l.fields(); !ok || json.Unmarshal(text, &r) != nil {
		return nil
	}
	return &r
}

// number is that of the record; 0: the line is damaged.
func (l line) number() int {
	_, record, ok := l.fields()
	if !ok {
		return 0
	}
	return numberOf(record)
}

// numberOf is the number of a record in JSON; 0: it has none.
func numberOf(record []byte) int {
	digits, _, _ := bytes.Cut(bytes.TrimPrefix(record, []byte(`{"number":`)), []byte{','})
	n, _ := strconv.Atoi(string(digits))
	return n
}

// highest is the highest number that a record has got.
func (all lines) highest() int {
	for _, l := range all {
		if n, _, ok := l.fields(); ok {
			return n
		}
	}
	return 0
}

// records are those of the log, the newest first, each as it ended. damaged is how many lines
// can't be read.
func (all lines) records() (records []*Record, damaged int) {
	seen := map[int]bool{}
	for _, l := range all {
		r := l.record()
		switch {
		case r == nil:
			damaged++
		case !seen[r.Number]:
			if seen[r.Number] = true; r.Outcome != void {
				records = append(records, r)
			}
		}
	}
	slices.SortFunc(records, func(a, b *Record) int { return b.Number - a.Number })
	return records, damaged
}

// repeats says whether a record of a failure says no more than the newest one of the log.
func (all lines) repeats(r *Record) bool {
	if len(all) == 0 {
		return false
	}
	last := all[0].record()
	return last != nil && last.Outcome == Failed && last.Before == nil && last.Error == r.Error &&
		last.Interface == r.Interface && slices.Equal(last.Command, r.Command)
}

// digests are those of objects and settings, as a record has them.
var digests = regexp.MustCompile(`"[0-9a-f]{64}"`)

// referring says whether a record refers to a digest. The log is read when it is first asked.
// If it can't be read, each digest counts as referred to.
func (d directory) referring() func(digest string) bool {
	read := sync.OnceValues(func() (map[string]bool, error) {
		all := map[string]bool{}
		return all, d.backwards(0, func(l line, _ spot) bool {
			for _, quoted := range digests.FindAll(l, -1) {
				all[string(quoted[1:65])] = true
			}
			return true
		})
	})
	return func(digest string) bool {
		all, err := read()
		return err != nil || all[digest]
	}
}
