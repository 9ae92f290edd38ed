package history

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/internal/private"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// store is a directory of what programs were loaded from, each file under its SHA-256: objects,
// and the settings of loads.
type store string

// store lies beside the directory of the records.
func (d directory) store() store { return store(filepath.Join(filepath.Dir(string(d)), "objects")) }

// How much is kept. What no record refers to goes first, and then what is oldest.
const (
	maxKept      = 1024
	maxKeptBytes = 64 << 20
)

// unfinished is the end of the name of a file that is being written.
const unfinished = ".new"

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// put keeps data, and returns its digest. The file is renamed into place once it is on the
// disk, so that nobody ever reads half of it, also after a crash of the machine. referred says
// whether a record refers to a digest.
func (s store) put(data []byte, referred func(digest string) bool) (digest string, err error) {
	digest = digestOf(data)
	path := filepath.Join(string(s), digest)
	if there, err := os.ReadFile(path); err == nil && bytes.Equal(there, data) {
		now := time.Now()
		return digest, os.Chtimes(path, now, now)
	}
	if err := private.MakeOwnDir(string(s)); err != nil {
		return digest, err
	}
	tmp := path + unfinished
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return digest, err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return digest, errors.Join(err, os.Remove(tmp))
	}
	return digest, s.bound(digest, referred)
}

// get is what put has kept. The error says what is wrong with the copy.
func (s store) get(digest string) ([]byte, error) {
	path := filepath.Join(string(s), digest)
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &xdp.Error{Kind: xdp.ErrObject, Err: err, Msg: "its copy is gone: no " + path}
	case err != nil:
		return nil, &xdp.Error{Kind: xdp.ErrSystem, Err: err, Msg: fmt.Sprintf("its copy can't be read: %v", err)}
	case digestOf(data) != digest:
		return nil, &xdp.Error{Kind: xdp.ErrObject, Msg: fmt.Sprintf("its copy %s is damaged: its SHA-256 is %s", path, digestOf(data))}
	}
	return data, nil
}

// kept is a file of the store.
type kept struct {
	name string
	size int64
	at   time.Time
}

// list is what the store has, and the leftovers of writers that were killed.
func (s store) list() (all []kept, leftovers []string, err error) {
	entries, err := os.ReadDir(string(s))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err != nil: // gone meanwhile
		case strings.HasSuffix(e.Name(), unfinished):
			if time.Since(info.ModTime()) > settleTime {
				leftovers = append(leftovers, e.Name())
			}
		default:
			all = append(all, kept{e.Name(), info.Size(), info.ModTime()})
		}
	}
	return all, leftovers, err
}

// bound removes files until the store is within its limits, but not the one of that digest.
func (s store) bound(digest string, referred func(string) bool) error {
	all, _, err := s.list()
	if err != nil {
		return err
	}
	count, size := len(all), int64(0)
	for _, k := range all {
		size += k.size
	}
	if count <= maxKept && size <= maxKeptBytes {
		return nil
	}
	wanted := map[string]bool{}
	for _, k := range all {
		wanted[k.name] = referred(k.name)
	}
	slices.SortFunc(all, func(a, b kept) int {
		if wanted[a.name] != wanted[b.name] {
			if wanted[b.name] {
				return -1
			}
			return 1
		}
		return a.at.Compare(b.at)
	})
	for _, k := range all {
		if count <= maxKept && size <= maxKeptBytes {
			break
		}
		if k.name == digest {
			continue
		}
		if err := os.Remove(filepath.Join(string(s), k.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		count, size = count-1, size-k.size
	}
	return nil
}

// Cleaned is what [Clean] has done.
type Cleaned struct {
	Removed int   `json:"removed"` // files that no record refers to; with dryRun: would be
	Kept    int   `json:"kept"`
	Bytes   int64 `json:"bytes"` // of those that are kept
}

// Clean removes what is kept of objects and settings of loads if no record refers to it any
// more. With dryRun it only counts. dir is as for [Read]. Errors: [xdp.ErrPermission],
// [xdp.ErrSystem].
func Clean(ctx context.Context, dir string, dryRun bool) (*Cleaned, error) {
	d := directory(cmp.Or(dir, DefaultDir))
	s := d.store()
	all, leftovers, err := s.list()
	if err != nil {
		return nil, unreadable(err)
	}
	done := &Cleaned{}
	if len(all)+len(leftovers) == 0 {
		return done, nil
	}
	unlock, err := d.lock(ctx)
	if err != nil {
		return nil, unreadable(err)
	}
	defer unlock()
	referred := d.referring()
	for _, k := range all {
		// A change keeps its objects a moment before it is recorded.
		if referred(k.name) || time.Since(k.at) < settleTime {
			done.Kept, done.Bytes = done.Kept+1, done.Bytes+k.size
			continue
		}
		leftovers = append(leftovers, k.name)
	}
	for _, name := range leftovers {
		if !dryRun {
			if err := os.Remove(filepath.Join(string(s), name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, unreadable(err)
			}
		}
		done.Removed++
	}
	return done, nil
}

// settleTime is how long nobody takes an object for one that no record will refer to.
const settleTime = time.Minute
