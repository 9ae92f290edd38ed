package store

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// TestStoreBounded: what no record refers to goes first, then what is oldest, and what has come
// just now stays.
func TestStoreBounded(t *testing.T) {
	s := Store(t.TempDir())
	big := make([]byte, maxKeptBytes/4)
	var digests []string
	referred := func(digest string) bool { return len(digests) > 1 && digest != digests[1] }
	for i := range 6 {
		big[0] = byte(i)
		digest, err := s.Put(big, referred)
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest)
		at := time.Now().Add(time.Duration(i-10) * time.Minute)
		if err := os.Chtimes(s.path(digest), at, at); err != nil {
			t.Fatal(err)
		}
	}
	var there []int
	for i, digest := range digests {
		if _, err := s.Get(digest); err == nil {
			there = append(there, i)
		}
	}
	if fmt.Sprint(there) != "[2 3 4 5]" {
		t.Errorf("there are %v", there)
	}
}

// TestKeeper: what was kept already isn't written again, unless somebody has touched it since. What the file
// says of when it was wanted is never old.
func TestKeeper(t *testing.T) {
	s := Store(t.TempDir())
	k := NewKeeper(s)
	data := []byte("object")
	path := s.path(Digest(data))
	put := func() os.FileInfo {
		t.Helper()
		digest, err := k.Put(data, func(string) bool { return false })
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Get(digest); err != nil || string(got) != string(data) {
			t.Fatalf("%q, %v", got, err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	first := put()
	if again := put(); !os.SameFile(first, again) || !again.ModTime().Equal(first.ModTime()) {
		t.Error("it was kept twice")
	}
	for what, change := range map[string]func() error{
		"removed":       func() error { return os.Remove(path) },
		"damaged":       func() error { return os.WriteFile(path, []byte("trash"), 0o600) },
		"replaced":      func() error { return os.WriteFile(path+".other", []byte("trash"), 0o600) },
		"of long ago":   func() error { return os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)) },
		"another store": func() error { return os.RemoveAll(string(s)) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if what == "replaced" {
			if err := os.Rename(path+".other", path); err != nil {
				t.Fatal(err)
			}
		}
		if info := put(); time.Since(info.ModTime()) > time.Minute {
			t.Errorf("%s: nothing says that it is wanted now", what)
		}
	}
}
