// Package store keeps what programs are loaded from: objects and settings of loads, each under its
// SHA-256, and which of the objects an image of a registry has.
package store

import (
	"bytes"
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

// Store is a directory, which is root's alone, or the caller's.
type Store string

// Default is the one that all commands share. It outlives a boot.
const Default Store = "/var/lib/xdpmux"

// Objects is where the files lie, each under its digest.
func (s Store) Objects() string { return filepath.Join(string(s), "objects") }

func (s Store) path(digest string) string { return filepath.Join(s.Objects(), digest) }

// How much is kept. What no record refers to goes first, and then what is oldest.
const (
	maxKept      = 1024
	maxKeptBytes = 64 << 20
)

// unfinished is the end of the name of a file that is being written.
const unfinished = ".new"

// Digest is the SHA-256 of data in hexadecimal.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Put keeps data, and returns its digest. The file is renamed into place once it is on the
// disk, so that nobody ever reads half of it, also after a crash of the machine. referred says
// whether a record refers to a digest.
func (s Store) Put(data []byte, referred func(digest string) bool) (digest string, err error) {
	digest = Digest(data)
	path := s.path(digest)
	if there, err := os.ReadFile(path); err == nil && bytes.Equal(there, data) {
		now := time.Now()
		return digest, os.Chtimes(path, now, now)
	}
	if err := private.MakeOwnDir(s.Objects()); err != nil {
		return digest, err
	}
	if err := write(path, data); err != nil {
		return digest, err
	}
	return digest, s.bound(digest, referred)
}

// write writes a file whole, or leaves what is there.
func write(path string, data []byte) error {
	tmp := path + unfinished
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return nil
}

// Get is what Put has kept. The error says what is wrong with the copy.
func (s Store) Get(digest string) ([]byte, error) {
	path := s.path(digest)
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &xdp.Error{Kind: xdp.ErrObject, Err: err, Msg: "its copy is gone: no " + path}
	case err != nil:
		return nil, &xdp.Error{Kind: xdp.ErrSystem, Err: err, Msg: fmt.Sprintf("its copy can't be read: %v", err)}
	case Digest(data) != digest:
		return nil, &xdp.Error{Kind: xdp.ErrObject, Msg: fmt.Sprintf("its copy %s is damaged: its SHA-256 is %s", path, Digest(data))}
	}
	return data, nil
}

// Kept is a file of the store.
type Kept struct {
	Digest string
	Size   int64
	At     time.Time // since when, or when it was kept again
}

// List is what the store has, and the leftovers of writers that were killed, by their names.
func (s Store) List() (all []Kept, leftovers []string, err error) {
	entries, err := os.ReadDir(s.Objects())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err != nil: // gone meanwhile
		case strings.HasSuffix(e.Name(), unfinished):
			if time.Since(info.ModTime()) > SettleTime {
				leftovers = append(leftovers, e.Name())
			}
		default:
			all = append(all, Kept{e.Name(), info.Size(), info.ModTime()})
		}
	}
	return all, leftovers, err
}

// bound removes files until the store is within its limits, but not the one of that digest.
func (s Store) bound(digest string, referred func(string) bool) error {
	all, _, err := s.List()
	if err != nil {
		return err
	}
	count, size := len(all), int64(0)
	for _, k := range all {
		size += k.Size
	}
	if count <= maxKept && size <= maxKeptBytes {
		return nil
	}
	inImage, err := s.ImageObjects()
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, k := range all {
		wanted[k.Digest] = inImage[k.Digest] || referred(k.Digest)
	}
	slices.SortFunc(all, func(a, b Kept) int {
		if wanted[a.Digest] != wanted[b.Digest] {
			if wanted[b.Digest] {
				return -1
			}
			return 1
		}
		return a.At.Compare(b.At)
	})
	for _, k := range all {
		if count <= maxKept && size <= maxKeptBytes {
			break
		}
		if k.Digest == digest {
			continue
		}
		if err := s.Remove(k.Digest); err != nil {
			return err
		}
		count, size = count-1, size-k.Size
	}
	return nil
}

// Remove removes a file that [Store.List] has named, if it is still there.
func (s Store) Remove(name string) error {
	if err := os.Remove(s.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// SettleTime is how long nobody takes an object for one that no record will refer to.
const SettleTime = time.Minute
