package store

import (
	"time"

	"golang.org/x/sys/unix"
)

// Keeper keeps the same data again and again, for many interfaces. It reads and writes it once.
type Keeper struct {
	store Store
	kept  map[string]kept // by their digests
}

// file is a version of a file. Whoever writes to it, or puts another one in its place, makes another version.
type file struct {
	dev, ino uint64
	size     int64
	changed  unix.Timespec
}

type kept struct {
	file
	at time.Time
}

// maxKnown is of how many files a Keeper knows that they are there. Nothing but time is lost with the others.
const maxKnown = 256

// NewKeeper is a Keeper for a store.
func NewKeeper(s Store) *Keeper { return &Keeper{s, map[string]kept{}} }

// Put is [Store.Put].
func (k *Keeper) Put(data []byte, referred func(digest string) bool) (digest string, err error) {
	digest = Digest(data)
	was, known := k.kept[digest]
	// Store.Put also notes in the file that it is wanted now. That has to hold until a record refers to it.
	if known && time.Since(was.at) < SettleTime/2 {
		if now, err := k.stat(digest); err == nil && now == was.file {
			return digest, nil
		}
	}
	delete(k.kept, digest)
	if digest, err = k.store.Put(data, referred); err != nil {
		return digest, err
	}
	if now, err := k.stat(digest); err == nil {
		if len(k.kept) == maxKnown {
			clear(k.kept)
		}
		k.kept[digest] = kept{now, time.Now()}
	}
	return digest, nil
}

func (k *Keeper) stat(digest string) (file, error) {
	var s unix.Stat_t
	err := unix.Lstat(k.store.path(digest), &s)
	return file{s.Dev, s.Ino, s.Size, s.Ctim}, err
}
