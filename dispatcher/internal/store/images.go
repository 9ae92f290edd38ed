package store

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/internal/private"
)

// Image is an image whose object is among the objects.
type Image struct {
	Digest   string            `json:"digest"`              // of its manifest, or of the index that has it
	Object   string            `json:"object"`              // the SHA-256 of the object
	Programs map[string]string `json:"programs,omitempty"`  // types by names, as its labels say
	Maps     map[string]string `json:"maps,omitempty"`      // the same
	SignedBy []string          `json:"signed_by,omitempty"` // fingerprints of the keys by which its signature was found good
}

// Tag is what a tag stood for.
type Tag struct {
	Name     string    `json:"name"` // of the image, with the tag
	Digest   string    `json:"digest"`
	Resolved time.Time `json:"resolved"`
}

// maxImages is how many images and tags are kept. Those that were used last stay.
const maxImages = 256

const tagged = "tag-"

func (s Store) images() string { return filepath.Join(string(s), "images") }

// imagePath is the file of an image.
func (s Store) imagePath(digest string) string {
	_, hash, _ := strings.Cut(digest, ":")
	return filepath.Join(s.images(), hash+".json")
}

func (s Store) tagPath(name string) string {
	return filepath.Join(s.images(), tagged+Digest([]byte(name))+".json")
}

// Image is what is kept of an image, with its object; nil: nothing.
func (s Store) Image(digest string) (*Image, []byte) {
	var i Image
	if !readJSON(s.imagePath(digest), &i) || i.Digest != digest {
		return nil, nil
	}
	data, err := s.Get(i.Object)
	if err != nil { // it can be fetched again
		return nil, nil
	}
	return &i, data
}

// Tag is what a tag stood for when it was resolved last; nil: nobody knows.
func (s Store) Tag(name string) *Tag {
	var t Tag
	if !readJSON(s.tagPath(name), &t) || t.Name != name {
		return nil
	}
	return &t
}

// PutImage keeps an image. referred is as for Put.
func (s Store) PutImage(i Image, data []byte, referred func(digest string) bool) error {
	if err := private.MakeOwnDir(s.images()); err != nil {
		return err
	}
	i.Object = Digest(data)
	if err := writeJSON(s.imagePath(i.Digest), i); err != nil {
		return err
	}
	if _, err := s.Put(data, referred); err != nil {
		return err
	}
	return s.boundImages()
}

// PutTag keeps what a tag stands for now.
func (s Store) PutTag(t Tag) error {
	if err := private.MakeOwnDir(s.images()); err != nil {
		return err
	}
	return errors.Join(writeJSON(s.tagPath(t.Name), t), s.boundImages())
}

// ImageObjects are the digests of the objects that images have.
func (s Store) ImageObjects() (map[string]bool, error) {
	all := map[string]bool{}
	entries, err := os.ReadDir(s.images())
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	for _, e := range entries {
		var i Image
		if !strings.HasPrefix(e.Name(), tagged) && readJSON(filepath.Join(s.images(), e.Name()), &i) {
			all[i.Object] = true
		}
	}
	return all, err
}

// boundImages removes what hasn't been written for the longest time. Their objects then go as
// others do.
func (s Store) boundImages() error {
	entries, err := os.ReadDir(s.images())
	if err != nil || len(entries) <= maxImages {
		return err
	}
	at := map[string]time.Time{}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			at[e.Name()] = info.ModTime()
		}
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return at[a.Name()].Compare(at[b.Name()]) })
	for _, e := range entries[:len(entries)-maxImages] {
		if err := os.Remove(filepath.Join(s.images(), e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// readJSON says whether there is a file that can be read. What can't be is fetched again.
func readJSON(path string, into any) bool {
	data, err := os.ReadFile(path)
	return err == nil && json.Unmarshal(data, into) == nil
}

func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return write(path, data)
}
