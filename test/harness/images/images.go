// Package images is a registry of images in the process of a test, and images that no builder makes.
package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Registry is a registry.
type Registry struct {
	*httptest.Server
	Host   string
	before atomic.Pointer[Before]
}

// Before gets a request before the registry, and says whether that needs no other answer.
type Before func(http.ResponseWriter, *http.Request) (done bool)

// Start runs a registry until the test ends, on an address of this machine; empty: on any port.
func Start(t testing.TB, address string) *Registry {
	t.Helper()
	r := &Registry{}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if before := r.before.Load(); before == nil || !(*before)(w, req) {
			inner.ServeHTTP(w, req)
		}
	}))
	if address != "" {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		r.Listener.Close()
		r.Listener = l
	}
	r.Server.Start()
	t.Cleanup(r.Close)
	r.Host = r.Listener.Addr().String()
	return r
}

// Name is the name of an image there.
func (r *Registry) Name(rest string) string { return "oci://" + r.Host + "/" + rest }

// Do has every request come to before first; nil: to nobody.
func (r *Registry) Do(before Before) {
	if before == nil {
		r.before.Store(nil)
		return
	}
	r.before.Store(&before)
}

// DoSigned has the registry answer what is in a directory of images that cosign has signed. instead has other names for what is asked for.
func (r *Registry) DoSigned(dir string, instead map[string]string) {
	r.Do(func(w http.ResponseWriter, req *http.Request) bool {
		kind, what := filepath.Base(filepath.Dir(req.URL.Path)), filepath.Base(req.URL.Path)
		if kind != "manifests" && kind != "blobs" {
			return false
		}
		what = strings.Replace(what, ":", "-", 1)
		if other, ok := instead[what]; ok {
			what = other
		}
		data, err := os.ReadFile(filepath.Join(dir, kind, what))
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			return true
		}
		if kind == "manifests" {
			var m struct{ MediaType string }
			_ = json.Unmarshal(data, &m)
			w.Header().Set("Content-Type", m.MediaType)
		}
		_, _ = w.Write(data)
		return true
	})
}

// Put puts an image there, or an index, and returns its name.
func (r *Registry) Put(t testing.TB, rest string, what remote.Taggable) string {
	t.Helper()
	ref, err := name.ParseReference(r.Host + "/" + rest)
	if err == nil {
		switch what := what.(type) {
		case v1.ImageIndex:
			err = remote.WriteIndex(ref, what)
		case v1.Image:
			err = remote.Write(ref, what)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return r.Name(rest)
}

// Of is an image with these layers.
func Of(t testing.TB, layers ...v1.Layer) v1.Image {
	t.Helper()
	one, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	return one
}

// Labelled is an image with a label.
func Labelled(t testing.TB, one v1.Image, label, text string) v1.Image {
	t.Helper()
	one, err := mutate.Config(one, v1.Config{Labels: map[string]string{label: text}})
	if err != nil {
		t.Fatal(err)
	}
	return one
}

// Index is an index with an image for an architecture, and beside it what a builder attests.
func Index(t testing.TB, arch string, one v1.Image) v1.ImageIndex {
	return mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: Of(t, Layer(t, types.OCILayer, []byte("attestation"))), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}},
		mutate.IndexAddendum{Add: one, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
}

// Layer is a layer with a file of each content.
func Layer(t testing.TB, media types.MediaType, contents ...[]byte) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	files := tar.NewWriter(z)
	for i, content := range contents {
		err := files.WriteHeader(&tar.Header{Name: fmt.Sprint(i), Mode: 0o644, Size: int64(len(content))})
		if err == nil {
			_, err = files.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(files.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return static.NewLayer(b.Bytes(), media)
}

// Blobs has requests for blobs come to do.
func Blobs(do http.HandlerFunc) Before {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		do(w, r)
		return true
	}
}

// Unauthorized asks for credentials.
func Unauthorized(w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
	w.WriteHeader(http.StatusUnauthorized)
	return true
}

// PublicKey writes a public key that has signed nothing.
func PublicKey(t testing.TB, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err == nil {
		err = os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
