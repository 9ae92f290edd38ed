// Package image has the words for objects that a registry keeps as images. Such an object is named
// oci://REGISTRY/REPOSITORY:TAG or oci://REGISTRY/REPOSITORY@sha256:DIGEST where otherwise a path is.
// The package has no library of registries in it: package registry is a [Fetcher], and so is
// whatever runs it elsewhere.
package image

import (
	"context"
	"path"
	"strings"
	"time"
)

// Scheme is how the name of an image begins where the path of an object could stand.
const Scheme = "oci://"

// Is says whether an object is in an image.
func Is(object string) bool { return strings.HasPrefix(object, Scheme) }

// Digest is the digest that the name of an image ends in, such as "sha256:0123..."; empty: it has
// none, so that the name can stand for another image tomorrow.
func Digest(object string) string {
	const begin = "@sha256:"
	at := strings.LastIndex(object, begin)
	if at < 0 || !Is(object) {
		return ""
	}
	hash := object[at+len(begin):]
	if len(hash) != 64 || strings.Trim(hash, "0123456789abcdef") != "" {
		return ""
	}
	return object[at+1:]
}

// Pin is the name of an image with a digest, which is all that counts of it then. The tag stays, for
// people.
func Pin(object, digest string) string {
	return strings.TrimSuffix(object, "@"+Digest(object)) + "@" + digest
}

// Base is the last part of the repository's name, as [path.Base] of a file.
func Base(object string) string {
	name, _, _ := strings.Cut(path.Base(strings.TrimSuffix(object, "@"+Digest(object))), ":")
	return name
}

// Request is what a [Fetcher] is asked for.
type Request struct {
	Object string // oci://...

	// Keys are public keys: each a path of a file in PEM, or what such a file holds. By each of them the
	// image has to be signed, as cosign does it.
	Keys []string
}

// Image is an image of which the object is here.
type Image struct {
	Object string `json:"object"` // as it was asked for
	Digest string `json:"digest"` // of the manifest or index that the name stands for: sha256:...
	Data   []byte `json:"data"`   // the object file

	// Labels, by which an image says what is in it: types, by the names of programs and maps. Nil: it
	// doesn't say.
	Programs map[string]string `json:"programs,omitempty"`
	Maps     map[string]string `json:"maps,omitempty"`

	// Before is the digest that the tag stood for when it was resolved before, if that was another.
	Before string `json:"before,omitempty"`

	// Unreachable is why the registry couldn't be asked what the tag stands for; empty: it was, or
	// there was no need to. The digest is then what it stood for at Resolved.
	Unreachable string    `json:"unreachable,omitempty"`
	Resolved    time.Time `json:"resolved,omitzero"`

	// Unkept is why the image isn't in the store now, so that a load by its digest asks the registry
	// again; empty: it is, or it is for root to keep anything.
	Unkept string `json:"unkept,omitempty"`
}

// Pinned is the image's name with its digest.
func (i *Image) Pinned() string { return Pin(i.Object, i.Digest) }

// Fetcher gets an image. Errors: [xdp.ErrImage] if there is none of that name, or none that holds an
// object; [xdp.ErrRegistry] if that can't be found out; [xdp.ErrSignature] if it isn't signed as
// it has to be; [xdp.ErrInvalid] for what is no name of an image, or no key.
type Fetcher func(context.Context, Request) (*Image, error)
