package agent

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/image"
)

// fetchPatience is how long the agent waits for the images of the files that it reads. Then it goes
// on without them, as a registry may be silent for minutes.
const fetchPatience = time.Second

// fetchAnew has the images fetched with the next call of fetch.
func (f *file) fetchAnew() { f.images, f.coming, f.retry = nil, nil, time.Time{} }

// fetch gets the images that a file names, unless they are here or somebody is at it. Until they
// have been asked for, what the file declared before stays. If one can't be had then, it is tried
// again; the others stay what they were, though their tags may have moved.
func (a *agent) fetch(ctx context.Context, path string, f *file, patience time.Time) {
	if !f.named || f.coming != nil || f.images != nil && f.lacks == nil || time.Now().Before(f.retry) {
		return
	}
	// A change that is being tried may use the state that is there.
	s, err := desired.Parse(ctx, path, a.Dir, []byte(f.data))
	if err != nil {
		return // it was parsed before, so ctx has ended
	}
	if a.Fetch == nil {
		f.state, f.images = s, map[string]Image{}
		return
	}
	f.coming = s
	here := maps.Clone(f.images)
	done := make(chan []desired.Fetched, 1)
	a.goTry(func() {
		done <- s.Fetch(ctx, func(ctx context.Context, r image.Request) (*image.Image, error) {
			if i := here[r.Object]; i.Digest != "" {
				r.Object = image.Pin(i.Object, i.Digest)
			}
			return a.Fetch(ctx, r)
		})
	})
	select {
	case all := <-done:
		a.fetched(path, f, all)
	case <-time.After(time.Until(patience)):
		a.Log.Info("the registries have not answered yet: until they do, what this file declared before stays", "file", path)
		a.goTry(func() {
			all := <-done
			a.post(ctx, func() {
				if a.files[path] != f || f.coming != s {
					return // the file has changed meanwhile
				}
				boot := f.boot && f.state == nil
				a.fetched(path, f, all)
				a.read(ctx, !boot)
			})
		})
	}
}

// fetched takes what has become of the images of f.coming.
func (a *agent) fetched(path string, f *file, all []desired.Fetched) {
	if f.images == nil {
		f.images = map[string]Image{}
	}
	var errs []error
	for _, one := range all {
		if one.Err != nil {
			errs = append(errs, one.Err)
			if f.lacks == nil || !strings.Contains(f.lacks.Error(), one.Err.Error()) {
				a.count(one.Err)
				a.warn("this image can't be had, and the chains that want it stay as they are", one.Err, "image", one.Object, "file", path)
			}
			f.images[one.Object] = Image{File: path, Object: one.Object, Condition: ImageMissing, Why: one.Err.Error()}
		} else if f.images[one.Object].Digest == "" {
			a.tell(one.Image)
			f.images[one.Object] = imageOf(path, one.Image)
		}
	}
	f.state, f.coming, f.lacks = f.coming, nil, errors.Join(errs...)
	f.retry = time.Now().Add(a.Every)
}

// tell tells what an image stands for.
func (a *agent) tell(i *image.Image) {
	if i.Unkept != "" {
		a.Log.Warn("this image can't be kept for when the registry is away", "image", i.Object, "error", i.Unkept)
	}
	switch {
	case i.Unreachable != "":
		a.Log.Warn("the registry can't be asked, so this tag is taken for what it stood for before", "image", i.Object, "digest", i.Digest, "resolved", i.Resolved, "error", i.Unreachable)
	case i.Before != "":
		a.totals.TagsMoved++
		a.totals.Moved[i.Object] = Moved{i.Before, i.Digest}
		a.Log.Info("this tag has moved", "image", i.Object, "digest", i.Digest, "before", i.Before)
	default:
		a.Log.Info("this image is here", "image", i.Object, "digest", i.Digest)
	}
}

// imageOf is an image as the status has it.
func imageOf(file string, i *image.Image) Image {
	is := Image{File: file, Object: i.Object, Digest: i.Digest, Condition: ImageHere}
	switch {
	case i.Unreachable != "":
		is.Condition, is.Why = ImageUnasked, i.Unreachable
	case i.Before != "":
		is.Condition, is.Why = ImageMoved, "the tag stood for "+i.Before+" before"
	}
	return is
}
