package registry

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// bigEndian are the architectures, as images call them, whose objects have the higher byte first.
var bigEndian = []string{"s390x", "ppc64", "mips", "mips64", "bpfeb"}

// pick is the image for this machine: that for its architecture, or else one for its byte order.
func (f *fetch) pick(top *remote.Descriptor) (v1.Image, error) {
	if top.MediaType.IsImage() {
		return top.Image()
	}
	if !top.MediaType.IsIndex() {
		return nil, unusable(f.object, "is no image but %q", top.MediaType)
	}
	index, err := top.ImageIndex()
	if err != nil {
		return nil, err
	}
	all, err := index.IndexManifest()
	if err != nil {
		return nil, unusable(f.object, "has an index that can't be read: %v", err)
	}
	var others []string
	var second *v1.Hash
	for _, m := range all.Manifests {
		if !offers(m) {
			continue
		}
		arch := m.Platform.Architecture
		switch {
		case arch == runtime.GOARCH:
			return index.Image(m.Digest)
		case slices.Contains(bigEndian, arch) == slices.Contains(bigEndian, runtime.GOARCH):
			if second == nil {
				second = &m.Digest
			}
		default:
			others = append(others, arch)
		}
	}
	if second != nil {
		return index.Image(*second)
	}
	e := unusable(f.object, "has no object for %s or another machine of its byte order", runtime.GOARCH)
	if len(others) > 0 {
		e.Msg += ", only for " + strings.Join(others, ", ")
	}
	return nil, e
}

// offers says whether an entry of an index is an image for some machine. Others are such as the
// attestations of a builder.
func offers(m v1.Descriptor) bool {
	return m.MediaType.IsImage() && m.Platform != nil && m.Platform.OS != "unknown"
}

// labels are the types of programs and maps that the image says it has.
func (f *fetch) labels(one v1.Image) (programs, maps map[string]string, err error) {
	m, err := one.Manifest()
	if err != nil {
		return nil, nil, err
	}
	if m.Config.Size > configLimit {
		return nil, nil, unusable(f.object, "has a configuration of %d bytes", m.Config.Size)
	}
	config, err := one.ConfigFile()
	if err != nil {
		return nil, nil, err
	}
	if programs, err = f.label(config, programsLabel); err == nil {
		maps, err = f.label(config, mapsLabel)
	}
	return programs, maps, err
}

func (f *fetch) label(config *v1.ConfigFile, label string) (types map[string]string, err error) {
	text, ok := config.Config.Labels[label]
	if !ok {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &types); err != nil {
		return nil, unusable(f.object, "has a label %s that is no JSON object of names and types", label)
	}
	return types, nil
}

// elf is the object: the first file of the only layer that is one.
func (f *fetch) elf(one v1.Image) ([]byte, error) {
	layers, err := one.Layers()
	if err != nil {
		return nil, err
	}
	if len(layers) != 1 {
		return nil, unusable(f.object, "has %d layers, and an image with an object has one", len(layers))
	}
	media, err := layers[0].MediaType()
	if err != nil {
		return nil, err
	}
	if media != types.OCILayer && media != types.DockerLayer {
		return nil, unusable(f.object, "has a layer that is no tar with gzip but %q", media)
	}
	size, err := layers[0].Size()
	if err != nil {
		return nil, err
	}
	if size > layerLimit {
		return nil, unusable(f.object, "has a layer of %d MiB, and at most %d are taken", size>>20, layerLimit>>20)
	}
	// All of it has to have its digest before any of it is unpacked.
	r, err := layers[0].Compressed()
	if err != nil {
		return nil, err
	}
	packed, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	return f.unpack(packed)
}

func (f *fetch) unpack(packed []byte) ([]byte, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, unusable(f.object, "has a layer that can't be unpacked: %v", err)
	}
	limited := &io.LimitedReader{R: unzipped, N: unpackedLimit}
	files := tar.NewReader(limited)
	for {
		h, err := files.Next()
		switch {
		case limited.N <= 0:
			return nil, unusable(f.object, "unpacks to more than %d MiB", unpackedLimit>>20)
		case errors.Is(err, io.EOF):
			return nil, unusable(f.object, "holds no ELF object")
		case err != nil:
			return nil, unusable(f.object, "has a layer that can't be unpacked: %v", err)
		case h.Typeflag != tar.TypeReg:
			continue
		}
		start := make([]byte, 4)
		if n, _ := io.ReadFull(files, start); string(start[:n]) != "\x7fELF" {
			continue
		}
		if h.Size > objectLimit {
			return nil, unusable(f.object, "holds an object of %d MiB, and at most %d are taken", h.Size>>20, objectLimit>>20)
		}
		data := make([]byte, h.Size)
		copy(data, start)
		if _, err := io.ReadFull(files, data[len(start):]); err != nil {
			return nil, unusable(f.object, "has a layer that ends within its object")
		}
		return data, nil
	}
}
