package registry

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness/images"
)

const signedDir = "testdata/signed"

// TestVerify: an image and an index that cosign has signed, and what isn't signed as it has to be. Of
// that not one byte is kept.
func TestVerify(t *testing.T) {
	c, s := testClient(t), images.Start(t, "")
	s.DoSigned(signedDir, nil)
	index, one := s.Name("test/pass:index"), s.Name("test/pass:one")
	plain := fetched(t, c, index)
	plainOne := fetched(t, c, one)
	pub, other := signedDir+"/cosign.pub", signedDir+"/other.pub"
	text, err := os.ReadFile(pub)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range []string{index, one} {
		for _, key := range []string{pub, string(text)} {
			c := testClient(t)
			fetched(t, c, object, key)
			// What was found good is remembered, for that key.
			s.Do(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true })
			if i := fetched(t, c, object, key); i.Unreachable == "" {
				t.Errorf("%+v", i)
			}
			if _, err := c.Fetch(t.Context(), image.Request{Object: object, Keys: []string{other}}); !errors.Is(err, xdp.ErrRegistry) {
				t.Error(err)
			}
			s.DoSigned(signedDir, nil)
		}
	}
	tagOf := func(digest string) string { return strings.Replace(digest, ":", "-", 1) + ".sig" }
	for _, one := range []struct {
		title   string
		instead map[string]string
		keys    []string
		kind    error
		want    string
	}{
		{"another key", nil, []string{other}, xdp.ErrSignature, index + " is signed, but not by " + other},
		{"one of two keys", nil, []string{pub, other}, xdp.ErrSignature, "but not by " + other},
		{"unsigned", map[string]string{tagOf(plain.Digest): "none"}, []string{pub}, xdp.ErrSignature, index + " is not signed, and has to be by " + pub},
		{"the signature of another", map[string]string{tagOf(plain.Digest): tagOf(plainOne.Digest)}, []string{pub}, xdp.ErrSignature, "is signed, but not by " + pub},
		{"no key", nil, []string{signedDir + "/README.md"}, xdp.ErrInvalid, "has no PEM"},
		{"not a public key", nil, []string{strings.ReplaceAll(string(text), "PUBLIC", "PRIVATE")[:60] + "\n-----END PRIVATE KEY-----\n"}, xdp.ErrInvalid, "is no public key"},
		{"no file", nil, []string{"nowhere.pub"}, xdp.ErrInvalid, "can't read the key nowhere.pub: no such file or directory"},
	} {
		s.DoSigned(signedDir, one.instead)
		c := testClient(t)
		_, err := c.Fetch(t.Context(), image.Request{Object: index, Keys: one.keys})
		var e *xdp.Error
		if !errors.Is(err, one.kind) || !strings.Contains(err.Error(), one.want) || !errors.As(err, &e) || e.Remedy == "" {
			t.Errorf("%s: %v, want %q", one.title, err, one.want)
		}
		if left, err := os.ReadDir(c.Dir); err != nil || len(left) > 0 {
			t.Errorf("%s: %v, %v", one.title, left, err)
		}
	}
	// What was fetched without a key isn't taken with one.
	s.DoSigned(signedDir, map[string]string{tagOf(plain.Digest): "none"})
	for _, object := range []string{index, plain.Pinned()} {
		if _, err := c.Fetch(t.Context(), image.Request{Object: object, Keys: []string{pub}}); !errors.Is(err, xdp.ErrSignature) {
			t.Error(err)
		}
	}
}
