package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// answer is what xdpmux-image prints: an image, or why there is none.
type answer struct {
	Image *image.Image
	Fault *fault
}

// fault is an [xdp.Error] for another process.
type fault struct{ Kind, Msg, Remedy, Cause string }

// kinds are those of a [image.Fetcher], and what else can go wrong there.
var kinds = []error{xdp.ErrImage, xdp.ErrRegistry, xdp.ErrSignature, xdp.ErrInvalid, xdp.ErrSystem}

// WriteAnswer answers a request that xdpmux-image has got.
func WriteAnswer(out *output.Printer, i *image.Image, err error) error {
	a := answer{Image: i}
	if err != nil {
		a = answer{Fault: &fault{Kind: xdp.ErrSystem.Error(), Msg: err.Error()}}
		var e *xdp.Error
		if errors.As(err, &e) {
			a.Fault.Kind, a.Fault.Remedy = e.Kind.Error(), out.Remedy(e.Remedy, e.Hints)
			if e.Err != nil {
				a.Fault.Cause = e.Err.Error()
			}
		}
	}
	return json.NewEncoder(out.Stdout).Encode(a)
}

// Fetch is an [image.Fetcher] that starts xdpmux-image. It speaks with the registry in the network
// namespace that this process was started in.
func Fetch(ctx context.Context, r image.Request) (*image.Image, error) {
	path, err := cmdline.Beside(Name, r.Object)
	if err != nil {
		return nil, err
	}
	request, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, "fetch")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(request), os.Stderr
	// This goroutine's thread may be in the namespace of --netns.
	said, err := cmdline.Interruptible(ctx, cmd.Output)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var a answer
	if err := json.Unmarshal(said, &a); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if a.Fault == nil {
		return a.Image, nil
	}
	e := &xdp.Error{Kind: xdp.ErrSystem, Msg: a.Fault.Msg, Remedy: a.Fault.Remedy}
	for _, kind := range kinds {
		if kind.Error() == a.Fault.Kind {
			e.Kind = kind
		}
	}
	if a.Fault.Cause != "" {
		e.Err = errors.New(a.Fault.Cause)
	}
	return nil, e
}

// FetchPrograms gets the objects of programs that are images, each image once, and tells what the user
// should know of them.
func FetchPrograms(ctx context.Context, out *output.Printer, keys []string, programs ...*xdp.Program) error {
	fetched := map[string]*image.Image{}
	for _, p := range programs {
		if !image.Is(p.File) {
			continue
		}
		i := fetched[p.File]
		if i == nil {
			var err error
			if i, err = Fetch(ctx, image.Request{Object: p.File, Keys: keys}); err != nil {
				return err
			}
			Tell(out, i)
			fetched[p.File] = i
		}
		p.File, p.Data = i.Pinned(), i.Data
	}
	return nil
}

// FetchState does the same for a state; what can't be fetched is for the plans to say.
func FetchState(ctx context.Context, out *output.Printer, state *desired.State, keys []string) {
	for _, f := range state.Fetch(ctx, Fetch, keys...) {
		if f.Err == nil {
			Tell(out, f.Image)
		}
	}
}

// Tell tells of a tag that has moved, and of a registry that couldn't be asked.
func Tell(out *output.Printer, i *image.Image) {
	if i.Unkept != "" {
		out.Warn("%s can't be kept for when the registry is away: %s", i.Object, i.Unkept)
	}
	switch {
	case i.Unreachable != "":
		out.Warn("%s is taken for %s, as on %s: %s", i.Object, i.Digest, i.Resolved.Format(time.DateTime), i.Unreachable)
	case i.Before != "":
		out.Warn("the tag of %s has moved: it stands for %s now, and stood for %s before", i.Object, i.Digest, i.Before)
	case out.Verbosity > 0:
		out.Say("xdpmux: ", fmt.Sprintf("%s is %s", i.Object, i.Digest))
	}
}
