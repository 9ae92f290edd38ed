package registry

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/xdpmux/xdpmux/dispatcher/internal/input"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// What cosign calls things.
const (
	signatureAnnotation = "dev.cosignproject.cosign/signature"
	signatureType       = "cosign container image signature"
	maxSignatures       = 32 // of an image that are looked at
)

// key is a public key.
type key struct {
	from        string // its file
	public      crypto.PublicKey
	fingerprint string // the SHA-256 of its DER
}

// readKeys reads public keys; see [image.Request]. Errors: [xdp.ErrInvalid].
func readKeys(ctx context.Context, from []string) (keys []*key, err error) {
	for _, text := range from {
		k := &key{from: "the key"}
		data := []byte(text)
		if !strings.Contains(text, "-----BEGIN ") {
			k.from = text
			if data, err = input.ReadFile(ctx, text, 64<<10); err != nil {
				return nil, badKey("can't read the key %s: %v", text, err)
			}
		}
		block, _ := pem.Decode(data)
		if block == nil {
			return nil, badKey("%s is no public key: it has no PEM", k.from)
		}
		if k.public, err = x509.ParsePKIXPublicKey(block.Bytes); err != nil {
			return nil, badKey("%s is no public key: it has %q", k.from, block.Type)
		}
		sum := sha256.Sum256(block.Bytes)
		k.fingerprint = hex.EncodeToString(sum[:])
		keys = append(keys, k)
	}
	return keys, nil
}

func badKey(format string, args ...any) error {
	return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf(format, args...), Remedy: "cosign generate-key-pair makes a pair; its cosign.pub is the public key"}
}

// signs says whether a signature of data was made with the key's other half.
func (k *key) signs(data, signature []byte) bool {
	sum := sha256.Sum256(data)
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(public, sum[:], signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signature) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(public, data, signature)
	}
	return false
}

// signature is what cosign has stored beside an image.
type signature struct {
	about  string // the digest of the image
	signed []byte
	bytes  []byte
}

// payload is what cosign signs before version 3, a "simple signing" document. about is empty if it is
// none.
func payload(data []byte) (about string) {
	var p struct {
		Critical struct {
			Image struct {
				Digest string `json:"docker-manifest-digest"`
			} `json:"image"`
			Type string `json:"type"`
		} `json:"critical"`
	}
	if json.Unmarshal(data, &p) != nil || p.Critical.Type != signatureType {
		return ""
	}
	return p.Critical.Image.Digest
}

// verify looks for a signature by each key: of what the image's name stands for, or of the manifest
// for this machine. Both decide what the object is.
func (f *fetch) verify(digests ...string) error {
	for _, k := range f.keys {
		found, good := 0, false
	looking:
		for _, digest := range unique(digests...) {
			for _, stored := range f.stores() {
				all, err := stored(digest)
				if err != nil {
					return err
				}
				found += len(all)
				for _, s := range all {
					if good = s.about == digest && k.signs(s.signed, s.bytes); good {
						break looking
					}
				}
			}
		}
		switch {
		case good:
		case found == 0:
			return &xdp.Error{Kind: xdp.ErrSignature, Msg: f.object + " is not signed, and has to be by " + k.from,
				Remedy: fmt.Sprintf("have cosign sign %s@%s, if it is what it should be", f.ref.Context(), digests[0])}
		default:
			return &xdp.Error{Kind: xdp.ErrSignature, Msg: fmt.Sprintf("%s is signed, but not by %s", f.object, k.from),
				Remedy: "don't load it before you know who has signed it; cosign tree shows the signatures"}
		}
	}
	return nil
}

func unique(digests ...string) []string { return slices.Compact(digests) }

// stores are the two places where cosign has put the signatures of a digest.
func (f *fetch) stores() []func(digest string) ([]signature, error) {
	return []func(string) ([]signature, error){f.tagged, f.bundled}
}

// tagged are the signatures of a digest that cosign has stored under a tag that tells it, as all do
// before version 3.
func (f *fetch) tagged(digest string) (all []signature, err error) {
	at := f.ref.Context().Tag(strings.Replace(digest, ":", "-", 1) + ".sig")
	one, err := remote.Image(at, f.opts...)
	var said *transport.Error
	if errors.As(err, &said) && said.StatusCode == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := one.Manifest()
	if err != nil {
		return nil, err
	}
	for i, l := range m.Layers {
		bytes, err := base64.StdEncoding.DecodeString(l.Annotations[signatureAnnotation])
		if err != nil || len(bytes) == 0 || l.Size > payloadLimit {
			continue
		}
		if i >= maxSignatures {
			break
		}
		signed, err := blob(one, l.Digest)
		if err != nil {
			return nil, err
		}
		all = append(all, signature{payload(signed), signed, bytes})
	}
	return all, nil
}
