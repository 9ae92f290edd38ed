package registry

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/internal/store"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Fetch is an [image.Fetcher]. An image that is named by its digest comes from the store if it is
// there, without a word to the registry. For a tag the registry is asked each time; if it can't be
// reached, the image is what the tag stood for last, and [image.Image.Unreachable] says so.
func (c *Client) Fetch(ctx context.Context, r image.Request) (*image.Image, error) {
	ref, err := parse(r.Object)
	if err != nil {
		return nil, err
	}
	keys, err := readKeys(ctx, r.Keys)
	if err != nil {
		return nil, err
	}
	if digest, ok := ref.(name.Digest); ok {
		if kept := c.kept(r.Object, digest.DigestStr(), keys); kept != nil {
			return kept, nil
		}
	}
	opts, inner, end := c.options(ctx)
	defer end()
	f := &fetch{c, r.Object, ref, keys, opts}
	i, err := f.do()
	if err == nil {
		return i, nil
	}
	err = explain(ctx, inner, ref, err)
	if tag := c.store().Tag(ref.Name()); tag != nil && errors.Is(err, xdp.ErrRegistry) {
		if kept := c.kept(r.Object, tag.Digest, keys); kept != nil {
			kept.Unreachable, kept.Resolved = err.Error(), tag.Resolved
			return kept, nil
		}
	}
	return nil, err
}

// kept is an image from the store; nil: it isn't there, or nobody has found it to be signed by the
// keys.
func (c *Client) kept(object, digest string, keys []*key) *image.Image {
	kept, data := c.store().Image(digest)
	if kept == nil || slices.ContainsFunc(keys, func(k *key) bool { return !slices.Contains(kept.SignedBy, k.fingerprint) }) {
		return nil
	}
	return &image.Image{Object: object, Digest: digest, Data: data, Programs: kept.Programs, Maps: kept.Maps}
}

// fetch is one call of Fetch.
type fetch struct {
	*Client
	object string
	ref    name.Reference
	keys   []*key
	opts   []remote.Option
}

func (f *fetch) do() (*image.Image, error) {
	top, err := remote.Get(f.ref, f.opts...)
	if err != nil {
		return nil, err
	}
	digest := top.Digest.String()
	i := &image.Image{Object: f.object, Digest: digest}
	_, byDigest := f.ref.(name.Digest)
	if tag := f.store().Tag(f.ref.Name()); tag != nil && !byDigest && tag.Digest != digest {
		i.Before = tag.Digest
	}
	if kept := f.kept(f.object, digest, f.keys); kept != nil {
		kept.Before = i.Before
		f.keep(kept, nil)
		return kept, nil
	}
	one, err := f.pick(top)
	if err != nil {
		return nil, err
	}
	own, err := one.Digest()
	if err != nil {
		return nil, err
	}
	if err := f.verify(digest, own.String()); err != nil {
		return nil, err
	}
	if i.Programs, i.Maps, err = f.labels(one); err != nil {
		return nil, err
	}
	if i.Data, err = f.elf(one); err != nil {
		return nil, err
	}
	var signedBy []string
	for _, k := range f.keys {
		signedBy = append(signedBy, k.fingerprint)
	}
	f.keep(i, &store.Image{Digest: digest, Programs: i.Programs, Maps: i.Maps, SignedBy: signedBy})
	return i, nil
}

// keep puts what was fetched into the store: the tag, and the image unless it is there already.
func (f *fetch) keep(i *image.Image, fresh *store.Image) {
	s := f.store()
	var err error
	if fresh != nil {
		if there, _ := s.Image(i.Digest); there != nil { // which was signed by other keys
			fresh.SignedBy = append(fresh.SignedBy, there.SignedBy...)
		}
		err = s.PutImage(*fresh, i.Data, func(string) bool { return true })
	}
	if _, byDigest := f.ref.(name.Digest); !byDigest && err == nil {
		err = s.PutTag(store.Tag{Name: f.ref.Name(), Digest: i.Digest, Resolved: time.Now().UTC().Truncate(time.Second)})
	}
	if err != nil && !errors.Is(err, fs.ErrPermission) { // it is for root to keep anything
		i.Unkept = err.Error()
	}
}
