package store

import (
	"os"
	"strings"
	"testing"
	"time"
)

func digestWith(c string) string { return "sha256:" + strings.Repeat(c, 64) }

// TestImages: what is kept of an image comes back with its object, unless that is gone or damaged, and
// an object that an image has stays when others go.
func TestImages(t *testing.T) {
	s := Store(t.TempDir())
	nobody := func(string) bool { return false }
	if err := s.PutImage(Image{Digest: digestWith("1"), SignedBy: []string{"key"}}, []byte("object"), nobody); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	if err := s.PutTag(Tag{Name: "here/pass:v1", Digest: digestWith("1"), Resolved: now}); err != nil {
		t.Fatal(err)
	}
	i, data := s.Image(digestWith("1"))
	if i == nil || string(data) != "object" || i.SignedBy[0] != "key" {
		t.Errorf("%+v, %q", i, data)
	}
	if tag := s.Tag("here/pass:v1"); tag == nil || tag.Digest != i.Digest || !tag.Resolved.Equal(now) {
		t.Errorf("%+v", tag)
	}
	if i, _ := s.Image(digestWith("2")); i != nil || s.Tag("here/pass:v2") != nil {
		t.Error("there is what nobody has put there")
	}
	big := make([]byte, maxKeptBytes/3)
	for n := range 4 {
		big[0] = byte(n)
		if _, err := s.Put(big, nobody); err != nil {
			t.Fatal(err)
		}
	}
	if _, data := s.Image(digestWith("1")); string(data) != "object" {
		t.Errorf("the object of an image went before others: %q", data)
	}
	if err := os.WriteFile(s.path(i.Object), []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if i, _ := s.Image(digestWith("1")); i != nil {
		t.Error("a damaged object counts as there")
	}
}

// TestImagesBounded: those that were kept first go.
func TestImagesBounded(t *testing.T) {
	s := Store(t.TempDir())
	for n := range maxImages + 1 {
		name := strings.Repeat("x", n+1)
		if err := s.PutTag(Tag{Name: name, Digest: digestWith("1")}); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(time.Duration(n-1000) * time.Minute)
		if err := os.Chtimes(s.tagPath(name), at, at); err != nil && n < maxImages {
			t.Fatal(err)
		}
	}
	if s.Tag("x") != nil || s.Tag("xx") == nil || s.Tag(strings.Repeat("x", maxImages+1)) == nil {
		t.Error("others went")
	}
}
