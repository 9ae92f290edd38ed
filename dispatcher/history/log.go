package history

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/internal/flock"
	"github.com/xdpmux/xdpmux/dispatcher/internal/private"
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

// maxSize is how large each of the two files can get. A load on a thousand interfaces fits into
// one.
const maxSize = 4 << 20

// lockLimit is how long a change waits for another process that writes.
const lockLimit = 5 * time.Second

// lock keeps others from writing. It makes the directory if it isn't there.
func (d directory) lock(ctx context.Context) (unlock func(), err error) {
	if err := private.MakeOwnDir(string(d)); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(string(d), "lock"), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lockLimit)
	defer cancel()
	if err := flock.Lock(ctx, int(f.Fd())); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil
}

// durability says whether what is written down has to be on the disk before the call returns.
type durability bool

const (
	lazily durability = false // when the kernel writes it; a crash of the machine before that loses it
	onDisk durability = true
)

// append adds records, all or none of them. The caller has the lock. highest is the highest
// number before. A crash of the machine may leave half a line, which then doesn't count.
func (d directory) append(when durability, highest int, records ...*Record) error {
	if len(records) == 0 {
		return nil
	}
	var add bytes.Buffer
	for _, r := range records {
		highest = max(highest, r.Number)
		l, err := lineOf(highest, r)
		if err != nil {
			return err
		}
		add.Write(append(l, '\n'))
	}
	f, size, err := d.open(add.Len())
	if err != nil {
		return err
	}
	defer f.Close()
	if size > 0 { // a writer that was killed may have left half a line
		var last [1]byte
		if _, err := f.ReadAt(last[:], size-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			add = *bytes.NewBuffer(append([]byte{'\n'}, add.Bytes()...))
		}
	}
	_, err = f.Write(add.Bytes())
	if err == nil && when == onDisk {
		err = unix.Fdatasync(int(f.Fd()))
	}
	if err != nil { // such as where the disk is full
		return errors.Join(err, f.Truncate(size))
	}
	return nil
}

// open opens the newer file for so many bytes more.
func (d directory) open(more int) (f *os.File, size int64, err error) {
	path := filepath.Join(string(d), newer)
	for {
		f, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, 0, err
		}
		info, err := f.Stat()
		if err == nil && (info.Size() == 0 || info.Size()+int64(more) <= maxSize) {
			return f, info.Size(), nil
		}
		f.Close()
		if err == nil {
			err = os.Rename(path, filepath.Join(string(d), older))
		}
		if err != nil {
			return nil, 0, err
		}
	}
}

// lines are those of the log, the last one first.
type lines []line

// line is one of the log, without the newline. Half of one counts, too.
type line []byte

// fewLines is so much of the log that the records that matter now are most likely in it.
const fewLines = 64 << 10

// read reads the log, or its last bytes up to a limit. whole says that there is no more.
func (d directory) read(limit int64) (all lines, whole bool, err error) {
	for _, name := range []string{newer, older} {
		text, cut, err := readEnd(filepath.Join(string(d), name), limit)
		if err != nil {
			return nil, false, err
		}
		limit -= int64(len(text))
		for len(text) > 0 {
			text = bytes.TrimSuffix(text, []byte{'\n'})
			at := bytes.LastIndexByte(text, '\n') + 1
			if at == 0 && cut {
				break // not its beginning
			}
			if len(text) > at {
				all = append(all, text[at:])
			}
			text = text[:at]
		}
		if cut {
			return all, false, nil
		}
	}
	return all, true, nil
}

// readEnd reads the last bytes of a file up to a limit; none if it isn't there. cut says that
// there is more before them.
func readEnd(path string, limit int64) (text []byte, cut bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	text = make([]byte, min(info.Size(), limit))
	n, err := f.ReadAt(text, info.Size()-int64(len(text)))
	if err == io.EOF { // of a file in which nobody writes now, or of none
		err = nil
	}
	return text[:n], int64(n) < info.Size(), err
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
	for limit := int64(fewLines); ; limit *= 8 {
		log, whole, err := d.read(limit)
		if err != nil {
			return nil, 0, err
		}
		if last = log.last(p, except); last != nil || whole {
			return last, log.highest(), nil
		}
	}
}

// checksumSize is the length of the checksum and the space after it.
const checksumSize = 9

// lineOf is the line of a record. highest is the highest number before.
func lineOf(highest int, r *Record) (line, error) {
	record, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	text := append(fmt.Appendf(nil, "%d ", max(highest, r.Number)), record...)
	return append(fmt.Appendf(nil, "%08x ", crc32.ChecksumIEEE(text)), text...), nil
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
	_, text, ok := l.fields()
	if !ok {
		return 0
	}
	digits, _, _ := bytes.Cut(bytes.TrimPrefix(text, []byte(`{"number":`)), []byte{','})
	n, _ := strconv.Atoi(string(digits))
	return n
}

// interfaceIndex is the index of the record's interface, without decoding the record: a text in it
// has no quotes but behind a backslash.
func (l line) interfaceIndex() (index int, ok bool) {
	_, text, found := bytes.Cut(l, []byte(`"interface":{`))
	_, text, ok = bytes.Cut(text, []byte(`"index":`))
	digits, _, closed := bytes.Cut(text, []byte{'}'})
	index, err := strconv.Atoi(string(digits))
	return index, found && ok && closed && err == nil
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

// place is an interface of one network namespace of one boot.
type place struct {
	boot   string
	netns  uint64
	cookie uint64
	index  int
}

func (r *Record) place() place { return place{r.Boot, r.Netns, r.NetnsCookie, r.Interface.Index} }

// underWayAtOnce is how many lines of one interface last looks at. Of each process that is
// about to change it there is one after the end of the change before.
const underWayAtOnce = 32

// last is the newest record of an interface that knows what runs there, but for the one of
// number except; nil: there is none. It is what records has, without decoding all lines.
func (all lines) last(p place, except int) *Record {
	boot, index, netns := fmt.Appendf(nil, `"boot":%q`, p.boot), fmt.Appendf(nil, `"index":%d}`, p.index), fmt.Appendf(nil, `"netns":%d,`, p.netns)
	var numbers []int
	newest := map[int]line{}
	seen := 0
	for _, l := range all {
		if !bytes.Contains(l, boot) || !bytes.Contains(l, index) || !bytes.Contains(l, netns) {
			continue
		}
		if n := l.number(); n != 0 && n != except && newest[n] == nil {
			newest[n], numbers = l, append(numbers, n)
		}
		if seen++; seen == underWayAtOnce {
			break
		}
	}
	slices.Sort(numbers)
	for _, n := range slices.Backward(numbers) {
		if r := newest[n].record(); r != nil && r.place() == p && r.After != nil {
			return r
		}
	}
	return nil
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

// referring says whether a record refers to a digest. The log is read when it is first asked.
// If it can't be read, each digest counts as referred to.
func (d directory) referring() func(digest string) bool {
	read := sync.OnceValues(func() (lines, error) {
		log, _, err := d.read(2 * maxSize)
		return log, err
	})
	return func(digest string) bool {
		log, err := read()
		return err != nil || slices.ContainsFunc(log, func(l line) bool { return bytes.Contains(l, []byte(digest)) })
	}
}
