package registry

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness/images"
)

// elfOf is the beginning of an object of a byte order (1: little, 2: big), and so much of a file as
// package registry looks at.
func elfOf(order byte, rest string) []byte {
	return append([]byte{0x7f, 'E', 'L', 'F', 2, order, 1, 0}, rest...)
}

func built(t *testing.T, objects ...Source) *Built {
	t.Helper()
	b, err := Build(time.Unix(0, 0), objects...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func testClient(t *testing.T) *Client {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("DOCKER_CONFIG", "")
	return &Client{Dir: t.TempDir(), Patience: 300 * time.Millisecond, Limit: 20 * time.Second}
}

func push(t *testing.T, c *Client, object string, b *Built) {
	t.Helper()
	if err := c.Push(t.Context(), object, b); err != nil {
		t.Fatal(err)
	}
}

func fetched(t *testing.T, c *Client, object string, keys ...string) *image.Image {
	t.Helper()
	i, err := c.Fetch(t.Context(), image.Request{Object: object, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// TestFetch: what is built and pushed comes back, by its tag and by its digest, and is in the store
// then, which needs no registry.
func TestFetch(t *testing.T) {
	s, c := images.Start(t, ""), testClient(t)
	source := Source{File: "dir/pass.o", Data: elfOf(1, "first"), Programs: map[string]string{"xdp_pass": "xdp"}, Maps: map[string]string{"counts": "per_cpu_array"}}
	b := built(t, source)
	push(t, c, s.Name("a/b:v1"), b)
	i := fetched(t, c, s.Name("a/b:v1"))
	if !bytes.Equal(i.Data, source.Data) || i.Digest != b.Digest || fmt.Sprint(i.Programs, i.Maps) != "map[xdp_pass:xdp] map[counts:per_cpu_array]" || i.Before+i.Unreachable != "" {
		t.Errorf("%+v", i)
	}
	if want := s.Name("a/b:v1@" + b.Digest); i.Pinned() != want {
		t.Errorf("%s, want %s", i.Pinned(), want)
	}

	// Where nothing can be kept, it is there all the same.
	full := *c
	full.Dir = filepath.Join(t.TempDir(), "file", "below")
	if err := os.WriteFile(filepath.Dir(full.Dir), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if i := fetched(t, &full, s.Name("a/b:v1")); !bytes.Equal(i.Data, source.Data) || !strings.Contains(i.Unkept, "not a directory") {
		t.Errorf("%+v", i)
	}

	// The tag moves.
	second := built(t, Source{File: "pass.o", Data: elfOf(1, "second")})
	push(t, c, s.Name("a/b:v1"), second)
	if again := fetched(t, c, s.Name("a/b:v1")); again.Digest != second.Digest || again.Before != b.Digest || !bytes.Equal(again.Data, elfOf(1, "second")) {
		t.Errorf("%+v", again)
	}

	// Nobody asks the registry for a digest that is here, and the tag stands for what it stood for.
	s.Close()
	if old := fetched(t, c, i.Pinned()); !bytes.Equal(old.Data, source.Data) || old.Unreachable != "" {
		t.Errorf("%+v", old)
	}
	if now := fetched(t, c, s.Name("a/b:v1")); now.Digest != second.Digest || !strings.Contains(now.Unreachable, "connection refused") || time.Since(now.Resolved) > time.Minute {
		t.Errorf("%+v", now)
	}
	if _, err := c.Fetch(t.Context(), image.Request{Object: s.Name("a/b:other")}); !errors.Is(err, xdp.ErrRegistry) {
		t.Error(err)
	}
}

// TestDocker does the same with Debian's docker-registry.
func TestDocker(t *testing.T) {
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Skip("it is Debian's")
	}
	s, _ := images.Debian(t)
	c := testClient(t)
	c.Patience = 10 * time.Second
	both := built(t, Source{File: "a.o", Data: elfOf(1, "little")}, Source{File: "a.o", Data: elfOf(2, "big")})
	object := s.Name("a/b:v1")
	push(t, c, object, both)
	if i := fetched(t, c, object); i.Digest != both.Digest || !bytes.Equal(i.Data, elfOf(1, "little")) {
		t.Errorf("%+v", i)
	}
	if _, err := c.Fetch(t.Context(), image.Request{Object: strings.Replace(object, "v1", "v2", 1)}); !errors.Is(err, xdp.ErrImage) || !strings.Contains(err.Error(), "has no oci://") {
		t.Error(err)
	}
}

// TestBuildIsReproducible: the same gives the same bytes, and another time gives others.
func TestBuildIsReproducible(t *testing.T) {
	objects := []Source{{File: "a.o", Data: elfOf(1, "x"), Programs: map[string]string{"b": "xdp", "a": "xdp"}}, {File: "a.o", Data: elfOf(2, "x")}}
	if a, b := built(t, objects...), built(t, objects...); a.Digest != b.Digest {
		t.Errorf("%s and %s", a.Digest, b.Digest)
	}
	if later, err := Build(time.Unix(1, 0), objects...); err != nil || later.Digest == built(t, objects...).Digest {
		t.Error(err)
	}
	for _, c := range []struct {
		objects []Source
		want    string
	}{
		{nil, "0 are given"},
		{[]Source{objects[0], objects[0]}, "the same byte order"},
		{[]Source{{File: "a.o", Data: make([]byte, objectLimit+1)}}, "has 16 MiB"},
	} {
		if _, err := Build(time.Unix(0, 0), c.objects...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// TestShapes: which images are taken, and what is said of the others.
func TestShapes(t *testing.T) {
	s, c := images.Start(t, ""), testClient(t)
	good := elfOf(1, "good")
	bomb := make([]byte, unpackedLimit+1)
	huge := append(elfOf(1, ""), make([]byte, objectLimit)...)
	other := "arm64"
	if runtime.GOARCH == other {
		other = "amd64"
	}
	for i, one := range []struct {
		what remote.Taggable
		want string // of the error; empty: it is taken
	}{
		{images.Of(t, images.Layer(t, types.OCILayer, good)), ""},
		{images.Of(t, images.Layer(t, types.DockerLayer, []byte("no"), nil, good, elfOf(1, "another"))), ""},
		{images.Index(t, runtime.GOARCH, images.Of(t, images.Layer(t, types.OCILayer, good))), ""},
		{images.Index(t, other, images.Of(t, images.Layer(t, types.OCILayer, good))), ""}, // of the same byte order
		{images.Index(t, "s390x", images.Of(t, images.Layer(t, types.OCILayer, good))), "has no object for " + runtime.GOARCH + " or another machine of its byte order, only for s390x"},
		{mutate.AppendManifests(empty.Index), "has no object for"},
		{images.Of(t), "has 0 layers, and an image with an object has one"},
		{images.Of(t, images.Layer(t, types.OCILayer, good), images.Layer(t, types.OCILayer, good)), "has 2 layers"},
		{images.Of(t, images.Layer(t, types.OCILayerZStd, good)), "is no tar with gzip but"},
		{images.Of(t, static.NewLayer(good, types.OCILayer)), "can't be unpacked"},
		{images.Of(t, images.Layer(t, types.OCILayer, []byte("text"), nil)), "holds no ELF object"},
		{images.Of(t, images.Layer(t, types.OCILayer, huge)), "holds an object of 16 MiB, and at most 16 are taken"},
		{images.Of(t, images.Layer(t, types.OCILayer, bomb, good)), "unpacks to more than 17 MiB"},
		{images.Labelled(t, images.Of(t, images.Layer(t, types.OCILayer, good)), programsLabel, "[]"), "label io.ebpf.programs that is no JSON object"},
	} {
		object := s.Put(t, fmt.Sprintf("shape:%d", i), one.what)
		got, err := c.Fetch(t.Context(), image.Request{Object: object})
		switch {
		case one.want == "" && (err != nil || !bytes.Equal(got.Data, good)):
			t.Errorf("%d: %v, %v", i, got, err)
		case one.want != "" && (!errors.Is(err, xdp.ErrImage) || !strings.Contains(err.Error(), one.want) || !strings.HasPrefix(err.Error(), object)):
			t.Errorf("%d: %v, want %q", i, err, one.want)
		}
	}
}

// TestNames: what is no name of an image.
func TestNames(t *testing.T) {
	c := testClient(t)
	for _, object := range []string{"pass.o", "oci://", "oci://pass", "oci://bpfman/pass:v1", "oci://localhost/A", "oci://localhost/a:b:c", "oci://localhost/a@sha256:12"} {
		var e *xdp.Error
		if _, err := c.Fetch(t.Context(), image.Request{Object: object}); !errors.Is(err, xdp.ErrInvalid) || !errors.As(err, &e) || e.Remedy == "" {
			t.Errorf("%s: %v", object, err)
		}
	}
}

// TestLies: a registry that hangs, that sends what it hasn't announced, or that refuses.
func TestLies(t *testing.T) {
	s, c := images.Start(t, ""), testClient(t)
	object := s.Name("pass:v1")
	push(t, c, object, built(t, Source{File: "a.o", Data: elfOf(1, strings.Repeat("x", 1000))}))
	hang := make(chan struct{})
	defer close(hang)
	for _, one := range []struct {
		title  string
		before images.Before
		kind   error
		want   string
	}{
		{"hangs", func(http.ResponseWriter, *http.Request) bool { <-hang; return true }, xdp.ErrRegistry, "can't be reached for " + object + ": it has said nothing for too long"},
		{"hangs within", images.Blobs(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "{")
			w.(http.Flusher).Flush()
			<-hang
		}), xdp.ErrRegistry, "it has said nothing for too long"},
		{"another size", images.Blobs(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "short") }), xdp.ErrImage, "is not what it has announced"},
		{"other bytes", images.Blobs(func(w http.ResponseWriter, r *http.Request) {
			for range 100 { // without a length
				fmt.Fprint(w, strings.Repeat("long", 1000))
				w.(http.Flusher).Flush()
			}
		}), xdp.ErrImage, "is not what it has announced"},
		{"unauthorized", images.Unauthorized, xdp.ErrRegistry, "refuses " + object + ": it asks for credentials"},
		{"broken", func(w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true }, xdp.ErrRegistry, "HTTP status 502"},
		{"no such image", func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/manifests/") {
				w.WriteHeader(http.StatusNotFound)
				return true
			}
			return false
		}, xdp.ErrImage, "has no " + object},
		{"no registry", func(w http.ResponseWriter, r *http.Request) bool { fmt.Fprint(w, "<html>"); return true }, xdp.ErrImage, "is no image but"},
	} {
		s.Do(one.before)
		begun := time.Now()
		_, err := c.Fetch(t.Context(), image.Request{Object: object})
		var e *xdp.Error
		if !errors.Is(err, one.kind) || !strings.Contains(err.Error(), one.want) || !errors.As(err, &e) || e.Remedy == "" {
			t.Errorf("%s: %v, want %q", one.title, err, one.want)
		}
		if d := time.Since(begun); d > 5*time.Second {
			t.Errorf("%s: after %v", one.title, d)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Fetch(ctx, image.Request{Object: object}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestCredentials: those of docker's configuration are used.
func TestCredentials(t *testing.T) {
	s, c := images.Start(t, ""), testClient(t)
	object := s.Name("pass:v1")
	push(t, c, object, built(t, Source{File: "a.o", Data: elfOf(1, "x")}))
	s.Do(func(w http.ResponseWriter, r *http.Request) bool {
		if user, password, _ := r.BasicAuth(); user == "me" && password == "secret" {
			return false
		}
		return images.Unauthorized(w, r)
	})
	config, err := json.Marshal(map[string]any{"auths": map[string]any{s.Host: map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("me:secret"))}}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", dir)
	fetched(t, c, object)
	t.Setenv("DOCKER_CONFIG", "")
	t.Setenv("REGISTRY_AUTH_FILE", filepath.Join(dir, "config.json"))
	fetched(t, c, object)
}
