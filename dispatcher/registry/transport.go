package registry

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

var errSilent = errors.New("it has said nothing for too long")

// options are those of the library for one operation. end is to be called after it.
func (c *Client) options(ctx context.Context) (opts []remote.Option, done context.Context, end func()) {
	limit := c.Limit
	if limit == 0 {
		limit = 2 * time.Minute
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errSilent)
	patience := c.Patience
	if patience == 0 {
		patience = 15 * time.Second
	}
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: patience}).DialContext,
		ForceAttemptHTTP2:     true,
		TLSHandshakeTimeout:   patience,
		ResponseHeaderTimeout: patience,
	}
	opts = []remote.Option{
		remote.WithContext(ctx), remote.WithTransport(&watched{t, patience}), remote.WithUserAgent("xdpmux"),
		remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithJobs(1),
		// A registry that is away is one that is away: what was fetched before goes on.
		remote.WithRetryBackoff(remote.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Steps: 2}),
	}
	return opts, ctx, func() {
		cancel()
		t.CloseIdleConnections()
	}
}

// watched ends an answer that doesn't go on, and one that goes on for ever.
type watched struct {
	http.RoundTripper
	patience time.Duration
}

func (w *watched) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	resp, err := w.RoundTripper.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	resp.Body = &watchedBody{resp.Body, layerLimit, time.AfterFunc(w.patience, func() { cancel(errSilent) }), w.patience, cancel, ctx}
	return resp, nil
}

type watchedBody struct {
	io.ReadCloser
	left     int64
	timer    *time.Timer
	patience time.Duration
	cancel   context.CancelCauseFunc
	ctx      context.Context
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.timer.Reset(b.patience)
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooMuch
	}
	if err != nil && !errors.Is(err, io.EOF) && errors.Is(context.Cause(b.ctx), errSilent) {
		err = errSilent
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.timer.Stop()
	b.cancel(nil)
	return b.ReadCloser.Close()
}

var errTooMuch = errors.New("it sends more than any part of such an image has")
