package history

import (
	"cmp"
	"context"
	"path/filepath"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/internal/store"
)

// store lies beside the directory of the records.
func (d directory) store() store.Store { return store.Store(filepath.Dir(string(d))) }

// Cleaned is what [Clean] has done.
type Cleaned struct {
	Removed int   `json:"removed"` // files that no record refers to; with dryRun: would be
	Kept    int   `json:"kept"`
	Bytes   int64 `json:"bytes"` // of those that are kept
}

// Clean removes what is kept of objects and settings of loads if no record refers to it any
// more, and no image of a registry. With dryRun it only counts. dir is as for [Read]. Errors: [xdp.ErrPermission],
// [xdp.ErrSystem].
func Clean(ctx context.Context, dir string, dryRun bool) (*Cleaned, error) {
	d := directory(cmp.Or(dir, DefaultDir))
	s := d.store()
	all, leftovers, err := s.List()
	if err != nil {
		return nil, unreadable(err)
	}
	done := &Cleaned{}
	if len(all)+len(leftovers) == 0 {
		return done, nil
	}
	log := newWriter(d)
	defer log.close()
	unlock, err := log.lock(ctx)
	if err != nil {
		return nil, unreadable(err)
	}
	defer unlock()
	inImage, err := s.ImageObjects()
	if err != nil {
		return nil, unreadable(err)
	}
	referred := d.referring()
	for _, k := range all {
		// A change keeps its objects a moment before it is recorded.
		if inImage[k.Digest] || referred(k.Digest) || time.Since(k.At) < store.SettleTime {
			done.Kept, done.Bytes = done.Kept+1, done.Bytes+k.Size
			continue
		}
		leftovers = append(leftovers, k.Digest)
	}
	for _, name := range leftovers {
		if !dryRun {
			if err := s.Remove(name); err != nil {
				return nil, unreadable(err)
			}
		}
		done.Removed++
	}
	return done, nil
}
