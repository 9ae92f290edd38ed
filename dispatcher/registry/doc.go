// Package registry gets objects from registries of images, and puts them there, as bpfman does it: an
// image has one layer, and that has the object. [Client.Fetch] is a [image.Fetcher].
//
// What a registry says is checked before it is believed: how long it takes, how large anything is, and
// that bytes have the digest by which they were asked for. Nothing of an image goes to libbpf before
// its signature was found good, where one is asked for.
package registry

import (
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/internal/store"
)

// Client gets images. The zero value is ready for use. It can be used by several goroutines.
type Client struct {
	// Dir is where images are kept by their digests; empty: /var/lib/xdpmux. Where the caller can't
	// write there, nothing is kept.
	Dir string

	// Patience is how long a registry may say nothing; 0: 15 seconds. Limit is how long all may
	// take; 0: two minutes.
	Patience, Limit time.Duration
}

func (c *Client) store() store.Store {
	if c.Dir == "" {
		return store.Default
	}
	return store.Store(c.Dir)
}

// Labels by which an image says what is in it: JSON objects, types by names.
const (
	programsLabel = "io.ebpf.programs"
	mapsLabel     = "io.ebpf.maps"
)

// How large anything is at most, in bytes. Of a manifest the library reads 4 MiB.
const (
	objectLimit   = 16 << 20            // an object, as bpfman has it
	configLimit   = 1 << 20             // what describes an image
	layerLimit    = objectLimit + 1<<20 // a layer, compressed
	unpackedLimit = layerLimit          // and what comes out of it, with what else is beside the object
	payloadLimit  = 64 << 10            // what a signature signs
	bundleLimit   = 256 << 10           // a signature with what it signs, and what others say of it
)
