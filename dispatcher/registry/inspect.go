package registry

import (
	"context"
	"errors"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Info is what a registry says of an image, without its object.
type Info struct {
	Image     string            `json:"image"`  // with the digest
	Digest    string            `json:"digest"` // of the manifest or index
	Platforms []Platform        `json:"platforms"`
	Size      int64             `json:"size"`     // of the layer for this machine, in bytes, compressed
	Programs  map[string]string `json:"programs"` // types by names, as the labels say; of a bpfman's image without labels null
	Maps      map[string]string `json:"maps"`

	// Signatures is how many cosign has stored for the image or the manifest for this machine, by whatever
	// keys. Verified says whether it is signed by each of the keys that were given; null: none was.
	Signatures int   `json:"signatures"`
	Verified   *bool `json:"verified"`
}

// Platform is an image of an index.
type Platform struct {
	Architecture string `json:"architecture"` // as Go calls it
	Digest       string `json:"digest"`
	Here         bool   `json:"here"` // the one that is taken on this machine
}

// Inspect asks the registry about an image. Errors: as [image.Fetcher], but a signature that is missing
// or wrong is none.
func (c *Client) Inspect(ctx context.Context, r image.Request) (*Info, error) {
	ref, err := parse(r.Object)
	if err != nil {
		return nil, err
	}
	keys, err := readKeys(ctx, r.Keys)
	if err != nil {
		return nil, err
	}
	opts, inner, end := c.options(ctx)
	defer end()
	info, err := (&fetch{c, r.Object, ref, keys, opts}).info()
	if err != nil {
		return nil, explain(ctx, inner, ref, err)
	}
	return info, nil
}

func (f *fetch) info() (*Info, error) {
	top, err := remote.Get(f.ref, f.opts...)
	if err != nil {
		return nil, err
	}
	one, err := f.pick(top)
	if err != nil {
		return nil, err
	}
	digest := top.Digest.String()
	i := &Info{Image: image.Pin(f.object, digest), Digest: digest, Platforms: []Platform{}}
	own, err := one.Digest()
	if err != nil {
		return nil, err
	}
	if i.Platforms, err = platformsOf(top, one, own); err != nil {
		return nil, err
	}
	if i.Programs, i.Maps, err = f.labels(one); err != nil {
		return nil, err
	}
	m, err := one.Manifest()
	if err != nil {
		return nil, err
	}
	for _, l := range m.Layers {
		i.Size += l.Size
	}
	for _, d := range unique(digest, own.String()) {
		for _, stored := range f.stores() {
			all, err := stored(d)
			if err != nil {
				return nil, err
			}
			i.Signatures += len(all)
		}
	}
	if len(f.keys) > 0 {
		err := f.verify(digest, own.String())
		if err != nil && !errors.Is(err, xdp.ErrSignature) {
			return nil, err
		}
		verified := err == nil
		i.Verified = &verified
	}
	return i, nil
}

// platformsOf are the images of an index, or the only one.
func platformsOf(top *remote.Descriptor, one v1.Image, own v1.Hash) (all []Platform, err error) {
	if top.MediaType.IsImage() {
		config, err := one.ConfigFile()
		if err != nil {
			return nil, err
		}
		return []Platform{{config.Architecture, own.String(), true}}, nil
	}
	index, err := top.ImageIndex()
	if err != nil {
		return nil, err
	}
	m, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, d := range m.Manifests {
		if offers(d) {
			all = append(all, Platform{d.Platform.Architecture, d.Digest.String(), d.Digest == own})
		}
	}
	return all, nil
}
