package registry

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Source is an object that goes into an image.
type Source struct {
	File string // its base name is what it is called in the image
	Data []byte

	// Types by names, for the labels.
	Programs, Maps map[string]string
}

// bigEndianObject says whether an ELF object has the higher byte first.
func bigEndianObject(data []byte) bool { return len(data) > 5 && data[5] == 2 }

// Foreign says whether the object is for machines of the other byte order, so that no C library here
// reads it.
func (s Source) Foreign() bool {
	return bigEndianObject(s.Data) == (binary.NativeEndian.Uint16([]byte{0, 1}) != 1)
}

// platforms are the architectures that an object is offered to, by its byte order.
var platforms = map[bool][]string{false: {"amd64", "arm64", "riscv64", "ppc64le", "loong64"}, true: {"s390x"}}

// Build makes an image of an object, or an index of images if there are two, one for each byte order.
// All times in it are created. The same objects, names and time give the same bytes, and so the same
// digest. Errors: [xdp.ErrInvalid] for what no image can be made of, [xdp.ErrObject] for what is
// no object.
func Build(created time.Time, objects ...Source) (*Built, error) {
	switch {
	case len(objects) == 0 || len(objects) > 2:
		return nil, &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("an image has one object, or two for the two byte orders, and %d are given", len(objects)), Remedy: "make an image of each"}
	case len(objects) == 2 && bigEndianObject(objects[0].Data) == bigEndianObject(objects[1].Data):
		return nil, &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("%s and %s have the same byte order", objects[0].File, objects[1].File), Remedy: "make an image of each, or give one for each byte order: clang -target bpfel, -target bpfeb"}
	}
	if len(objects) == 1 {
		one, err := buildOne(created, objects[0], "")
		if err != nil {
			return nil, err
		}
		return newBuilt(one)
	}
	// The labels of one that couldn't be looked into.
	for i := range objects {
		if other := objects[1-i]; objects[i].Programs == nil {
			objects[i].Programs, objects[i].Maps = other.Programs, other.Maps
		}
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, o := range objects {
		for _, arch := range platforms[bigEndianObject(o.Data)] {
			one, err := buildOne(created, o, arch)
			if err != nil {
				return nil, err
			}
			index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: one, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
		}
	}
	return newBuilt(index)
}

// Built is an image, or an index of images.
type Built struct {
	Digest string
	what   remote.Taggable
}

func newBuilt(what interface {
	remote.Taggable
	Digest() (v1.Hash, error)
}) (*Built, error) {
	digest, err := what.Digest()
	return &Built{digest.String(), what}, err
}

// Write writes what was built into a directory that isn't there yet, as the OCI image layout has it.
// Errors: [xdp.ErrSystem].
func (b *Built) Write(dir string) error {
	err := os.Mkdir(dir, 0o755)
	var to layout.Path
	if err == nil {
		to, err = layout.Write(dir, empty.Index)
	}
	if err == nil {
		switch what := b.what.(type) {
		case v1.ImageIndex:
			err = to.AppendIndex(what)
		case v1.Image:
			err = to.AppendImage(what)
		}
	}
	if err != nil {
		return &xdp.Error{Kind: xdp.ErrSystem, Err: err, Msg: fmt.Sprintf("can't write %s: %v", dir, err)}
	}
	return nil
}

// Read reads the one image, or index of images, of a directory that [Built.Write] or another tool has
// written. Errors: [xdp.ErrInvalid].
func Read(dir string) (*Built, error) {
	from, err := layout.FromPath(dir)
	var top v1.ImageIndex
	var m *v1.IndexManifest
	if err == nil {
		top, err = from.ImageIndex()
	}
	if err == nil {
		m, err = top.IndexManifest()
	}
	if err == nil && len(m.Manifests) != 1 {
		err = fmt.Errorf("it has %d images, and one is to be pushed", len(m.Manifests))
	}
	if err != nil {
		return nil, &xdp.Error{Kind: xdp.ErrInvalid, Err: err, Msg: fmt.Sprintf("%s is no directory with an image: %v", dir, err), Remedy: "name a directory with an OCI image layout (oci-layout, index.json, blobs)"}
	}
	one := m.Manifests[0]
	if one.MediaType.IsIndex() {
		index, err := top.ImageIndex(one.Digest)
		return &Built{one.Digest.String(), index}, err
	}
	single, err := top.Image(one.Digest)
	return &Built{one.Digest.String(), single}, err
}

// buildOne makes the image for an architecture; empty: the first for the object's byte order.
func buildOne(created time.Time, o Source, arch string) (v1.Image, error) {
	if len(o.Data) > objectLimit {
		return nil, &xdp.Error{Kind: xdp.ErrObject, Msg: fmt.Sprintf("%s has %d MiB, and no more than %d can be in an image", o.File, len(o.Data)>>20, objectLimit>>20)}
	}
	if arch == "" {
		arch = platforms[bigEndianObject(o.Data)][0]
	}
	files, packed, err := pack(created, filepath.Base(o.File), o.Data)
	if err != nil {
		return nil, err
	}
	diffID, _, err := v1.SHA256(bytes.NewReader(files))
	if err != nil {
		return nil, err
	}
	labels := map[string]string{}
	for label, types := range map[string]map[string]string{programsLabel: o.Programs, mapsLabel: o.Maps} {
		if types == nil {
			types = map[string]string{}
		}
		text, err := json.Marshal(types) // sorted by name
		if err != nil {
			return nil, err
		}
		labels[label] = string(text)
	}
	one := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	one, err = mutate.Append(one, mutate.Addendum{Layer: &layer{static.NewLayer(packed, types.OCILayer), diffID},
		History: v1.History{Created: v1.Time{Time: created}, CreatedBy: "xdpmux"}})
	if err != nil {
		return nil, err
	}
	config, err := one.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Created, config.OS, config.Architecture, config.Config.Labels = v1.Time{Time: created}, "linux", arch, labels
	return mutate.ConfigFile(one, config)
}

// layer is a packed layer whose digest before it was packed is known.
type layer struct {
	v1.Layer
	diffID v1.Hash
}

func (l *layer) DiffID() (v1.Hash, error) { return l.diffID, nil }

// pack puts a file into an archive of its own, and that through gzip.
func pack(created time.Time, name string, data []byte) (files, packed []byte, err error) {
	var archive, zipped bytes.Buffer
	t := tar.NewWriter(&archive)
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data)), ModTime: created, Format: tar.FormatUSTAR}); err != nil {
		return nil, nil, err
	}
	if _, err := t.Write(data); err != nil {
		return nil, nil, err
	}
	if err := t.Close(); err != nil {
		return nil, nil, err
	}
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(archive.Bytes()); err != nil {
		return nil, nil, err
	}
	if err := z.Close(); err != nil {
		return nil, nil, err
	}
	return archive.Bytes(), zipped.Bytes(), nil
}

// Push puts what was built into a registry, under a name with a tag. Errors: as [image.Fetcher].
func (c *Client) Push(ctx context.Context, object string, b *Built) error {
	ref, err := parse(object)
	if err != nil {
		return err
	}
	if image.Digest(object) != "" {
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: object + " names a digest, and what is pushed has its own", Remedy: "name a tag: " + strings.TrimSuffix(object, "@"+image.Digest(object)) + ":TAG"}
	}
	opts, inner, end := c.options(ctx)
	defer end()
	switch what := b.what.(type) {
	case v1.ImageIndex:
		err = remote.WriteIndex(ref, what, opts...)
	case v1.Image:
		err = remote.Write(ref, what, opts...)
	}
	if err != nil {
		return explain(ctx, inner, ref, err)
	}
	return nil
}
