package registry

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// What is in a bundle of sigstore, as cosign stores it from version 3 on: a statement of in-toto in an
// envelope of DSSE.
const (
	bundleType    = "application/vnd.dev.sigstore.bundle" // and a version behind it
	statementType = "application/vnd.in-toto+json"
	signPredicate = "https://sigstore.dev/cosign/sign/v1" // others attest something of the image
)

// bundle is such a bundle, as far as it is looked at. Its key is the one that the caller has.
type bundle struct {
	Envelope struct {
		Payload    []byte `json:"payload"`
		Type       string `json:"payloadType"`
		Signatures []struct {
			Sig []byte `json:"sig"`
		} `json:"signatures"`
	} `json:"dsseEnvelope"`
}

// signatures are those of the bundle that say what it is to be signed.
func (b bundle) signatures() (all []signature) {
	var s struct {
		Subject []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
		Predicate string `json:"predicateType"`
	}
	e := b.Envelope
	if e.Type != statementType || json.Unmarshal(e.Payload, &s) != nil || s.Predicate != signPredicate {
		return nil
	}
	// What is signed is this (PAE of DSSE), not the payload alone.
	signed := fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(e.Type), e.Type, len(e.Payload), e.Payload)
	for _, one := range e.Signatures {
		for _, subject := range s.Subject {
			all = append(all, signature{about: "sha256:" + subject.Digest["sha256"], signed: signed, bytes: one.Sig})
		}
	}
	return all
}

// bundled are the signatures of a digest that cosign has stored as bundles, which refer to it.
func (f *fetch) bundled(digest string) (all []signature, err error) {
	index, err := remote.Referrers(f.ref.Context().Digest(digest), f.opts...)
	if err != nil {
		return nil, err
	}
	m, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	looked := 0
	for _, d := range m.Manifests {
		if !strings.HasPrefix(d.ArtifactType, bundleType) || looked >= maxSignatures {
			continue
		}
		looked++
		some, err := f.bundle(f.ref.Context().Digest(d.Digest.String()))
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func (f *fetch) bundle(at name.Digest) (all []signature, err error) {
	one, err := remote.Image(at, f.opts...)
	if err != nil {
		return nil, err
	}
	m, err := one.Manifest()
	if err != nil {
		return nil, err
	}
	for _, l := range m.Layers {
		if !strings.HasPrefix(string(l.MediaType), bundleType) || l.Size > bundleLimit {
			continue
		}
		data, err := blob(one, l.Digest)
		if err != nil {
			return nil, err
		}
		var b bundle
		if json.Unmarshal(data, &b) == nil {
			all = append(all, b.signatures()...)
		}
	}
	return all, nil
}

// blob is a layer as it is stored.
func blob(one v1.Image, digest v1.Hash) ([]byte, error) {
	layer, err := one.LayerByDigest(digest)
	if err != nil {
		return nil, err
	}
	r, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
