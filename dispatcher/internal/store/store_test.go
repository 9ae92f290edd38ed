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
