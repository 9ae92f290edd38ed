package registry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness/images"
)

// TestBundle: one that cosign has made, and the same with another byte.
func TestBundle(t *testing.T) {
	const digest = "sha256:0710384d88b238bcfc4430bba45a71156567f25e3a8a87f645ecf9ef4ddfa3f1"
	keys, err := readKeys(t.Context(), []string{"testdata/bundle/cosign.pub"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/bundle/bundle.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, good := range []bool{true, false} {
		var b bundle
		if err := json.Unmarshal(text, &b); err != nil {
			t.Fatal(err)
		}
		if !good {
			b.Envelope.Payload = append(b.Envelope.Payload, ' ')
		}
		all := b.signatures()
		if len(all) != 1 || all[0].about != digest || keys[0].signs(all[0].signed, all[0].bytes) != good {
			t.Errorf("%v: %+v", good, all)
		}
	}
}

// TestBundles: signatures that refer to the image, as cosign stores them from version 3 on. TestCosign
// has those that cosign has made.
func TestBundles(t *testing.T) {
	s := images.Start(t, "")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	const media = bundleType + ".v0.3+json"
	good := statementType + "|" + signPredicate
	for i, one := range []struct {
		title, kind string // of the payload, and of the predicate
		about       string // empty: the image
		pae, media  string
		want        string // of the error; empty: it is signed
	}{
		{"signed", good, "", "DSSEv1 %d %s %d %s", media, ""},
		{"of a later version", good, "", "DSSEv1 %d %s %d %s", bundleType + ".v0.4+json", ""},
		{"the signature of another", good, strings.Repeat("0", 64), "DSSEv1 %d %s %d %s", media, "is signed, but not by"},
		{"signed otherwise", good, "", "DSSEv2 %d %s %d %s", media, "is signed, but not by"},
		{"attested, not signed", statementType + "|https://slsa.dev/provenance/v1", "", "DSSEv1 %d %s %d %s", media, "is not signed"},
		{"no statement", "text/plain|" + signPredicate, "", "DSSEv1 %d %s %d %s", media, "is not signed"},
		{"no bundle", good, "", "DSSEv1 %d %s %d %s", "application/spdx+json", "is not signed"},
	} {
		c := testClient(t)
		what := images.Of(t, images.Layer(t, types.OCILayer, elfOf(1, fmt.Sprint(i))))
		object := s.Put(t, fmt.Sprintf("bundle/b%d:v1", i), what)
		digest, err := what.Digest()
		if err != nil {
			t.Fatal(err)
		}
		about := digest.Hex
		if one.about != "" {
			about = one.about
		}
		kind, predicate, _ := strings.Cut(one.kind, "|")
		payload := fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":%q}`, about, predicate)
		sum := sha256.Sum256(fmt.Appendf(nil, one.pae, len(kind), kind, len(payload), payload))
		signed, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(map[string]any{"mediaType": one.media, "dsseEnvelope": map[string]any{"payload": payload, "payloadType": kind, "signatures": []any{map[string]any{"sig": signed}}}})
		if err != nil {
			t.Fatal(err)
		}
		refer(t, s, object, what, one.media, text)
		_, err = c.Fetch(t.Context(), image.Request{Object: object, Keys: []string{public}})
		if one.want == "" && err != nil || one.want != "" && (!errors.Is(err, xdp.ErrSignature) || !strings.Contains(err.Error(), one.want)) {
			t.Errorf("%s: %v", one.title, err)
		}
		i, err := c.Inspect(t.Context(), image.Request{Object: object})
		if err != nil || (i.Signatures == 1) != (one.want == "" || strings.Contains(one.want, "but not by")) {
			t.Errorf("%s: %+v, %v", one.title, i, err)
		}
	}
}

// refer puts an artifact beside an image, which refers to it.
func refer(t *testing.T, s *images.Registry, object string, to v1.Image, media string, data []byte) {
	t.Helper()
	size, err := to.Size()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := to.Digest()
	if err != nil {
		t.Fatal(err)
	}
	artifact, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.MediaType(media)), static.NewLayer(data, types.MediaType(media)))
	if err != nil {
		t.Fatal(err)
	}
	of := mutate.Subject(artifact, v1.Descriptor{MediaType: types.OCIManifestSchema1, Size: size, Digest: digest}).(v1.Image)
	s.Put(t, strings.TrimSuffix(strings.TrimPrefix(object, s.Name("")), ":v1")+":artifact", of)
}
