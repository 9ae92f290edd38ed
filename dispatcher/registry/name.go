package registry

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// parse reads the name of an image. Errors: [xdp.ErrInvalid].
func parse(object string) (name.Reference, error) {
	rest, ok := strings.CutPrefix(object, image.Scheme)
	host, _, slash := strings.Cut(rest, "/")
	var err error
	switch {
	case !ok:
		err = errors.New("it doesn't begin with " + image.Scheme)
	case !slash || !strings.ContainsAny(host, ".:") && host != "localhost":
		err = errors.New("it names no registry") // the library would take Docker's
	default:
		var ref name.Reference
		if ref, err = name.ParseReference(rest); err == nil {
			return ref, nil
		}
	}
	return nil, &xdp.Error{Kind: xdp.ErrInvalid, Err: err, Msg: fmt.Sprintf("%s is no name of an image: %v", object, err),
		Remedy: "such as oci://quay.io/NAME/REPOSITORY:TAG, or with @sha256:DIGEST for the tag"}
}
