package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// explain is a failure of the library in the user's words. outer is the caller's context: if that has
// ended, it is nobody's failure.
func explain(outer, inner context.Context, ref name.Reference, err error) error {
	var known *xdp.Error
	if outer.Err() != nil {
		return outer.Err()
	}
	if errors.As(err, &known) {
		return err
	}
	registry := ref.Context().RegistryStr()
	e := &xdp.Error{Kind: xdp.ErrRegistry, Err: err}
	var said *transport.Error
	switch {
	case errors.As(err, &said) && (said.StatusCode == http.StatusUnauthorized || said.StatusCode == http.StatusForbidden):
		e.Msg = fmt.Sprintf("the registry %s refuses %s%s: it asks for credentials, or for others", registry, image.Scheme, ref)
		e.Remedy = "docker login or podman login keeps them where they are looked for: ~/.docker/config.json, $DOCKER_CONFIG/config.json, $REGISTRY_AUTH_FILE"
	case errors.As(err, &said) && said.StatusCode == http.StatusNotFound:
		e.Kind = xdp.ErrImage
		e.Msg = fmt.Sprintf("the registry %s has no %s%s", registry, image.Scheme, ref)
		e.Remedy = "look at the name, the tag and the digest"
	case errors.As(err, &said):
		e.Msg = fmt.Sprintf("the registry %s can't say what %s%s is: HTTP status %d", registry, image.Scheme, ref, said.StatusCode)
		e.Remedy = "try again later; what was fetched before needs no registry if it is named by its digest"
	case errors.Is(err, errTooMuch):
		e.Kind = xdp.ErrImage
		e.Msg = fmt.Sprintf("%s%s: the registry sends more than %d MiB, which no part of such an image has", image.Scheme, ref, layerLimit>>20)
		e = e.Advise("%v", xdp.Hint{To: xdp.HintBuild})
	case lies(err):
		e.Kind = xdp.ErrImage
		e.Msg = fmt.Sprintf("%s%s: what the registry %s sends is not what it has announced", image.Scheme, ref, registry)
		e.Remedy = "its size or digest is another: ask who runs the registry, or the proxy before it"
	default:
		why := innermost(err)
		if inner.Err() != nil || isTimeout(err) {
			why = errSilent.Error()
		}
		e.Msg = fmt.Sprintf("the registry %s can't be reached for %s%s: %s", registry, image.Scheme, ref, why)
		e.Remedy = "look at the network, at HTTPS_PROXY and at the registry's name; what was fetched before needs no registry if it is named by its digest"
	}
	return e
}

// lies says whether bytes are not those that were announced.
func lies(err error) bool {
	text := err.Error()
	return strings.Contains(text, "error verifying") || strings.Contains(text, "does not match") || strings.Contains(text, "manifest digest:")
}

// isTimeout looks at the text, as errors.As finds the first of several errors only: that of HTTPS, where
// HTTP was tried too.
func isTimeout(err error) bool {
	return errors.Is(err, errSilent) || strings.Contains(err.Error(), "timeout awaiting response headers") || strings.Contains(err.Error(), "i/o timeout")
}

// innermost is the text of the last error that others are wrapped around.
func innermost(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			break
		}
		err = next
	}
	// Where both HTTPS and HTTP were tried, the library puts both texts into one.
	text := err.Error()
	if i := strings.LastIndex(text, `Get "`); i >= 0 {
		if _, after, ok := strings.Cut(text[i:], `": `); ok {
			return after
		}
	}
	return text
}

// unusable is an error about an image that holds no object as it should.
func unusable(object, format string, args ...any) *xdp.Error {
	return (&xdp.Error{Kind: xdp.ErrImage, Msg: object + " " + fmt.Sprintf(format, args...)}).Advise("%v", xdp.Hint{To: xdp.HintBuild})
}
