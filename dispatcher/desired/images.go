package desired

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/xdpmux/xdpmux/dispatcher/image"
)

// Fetched is what has become of an image that a state names.
type Fetched struct {
	Object string       // as the state has it
	Image  *image.Image // nil: see Err
	Err    error
}

// atOnce is how many images are fetched at the same time.
const atOnce = 4

// HasImages says whether an object of the state is an image.
func (s *State) HasImages() bool {
	found := false
	s.eachObject(func(object *string, _ string, _ **Fetched) { found = found || image.Is(*object) })
	return found
}

// Fetch gets all images that the state names, each once, and puts their digests behind their names. So
// whatever is planned and applied of the state afterwards is about the same objects, though a tag moves
// meanwhile. keys are those by which all of them have to be signed, beside those of the state. What
// can't be fetched is in [Plan.Err] of the interfaces that want it, and the others are changed all the
// same.
func (s *State) Fetch(ctx context.Context, fetch image.Fetcher, keys ...string) []Fetched {
	all := map[string]*Fetched{}
	var order []*Fetched
	var wait sync.WaitGroup
	free := make(chan struct{}, atOnce)
	s.eachObject(func(object *string, key string, to **Fetched) {
		if !image.Is(*object) {
			return
		}
		r := image.Request{Object: *object, Keys: keys}
		if key != "" && !slices.Contains(keys, key) {
			r.Keys = append(slices.Clone(keys), key)
		}
		id := strings.Join(append([]string{r.Object}, r.Keys...), "\x00")
		one := all[id]
		if one == nil {
			one = &Fetched{Object: r.Object}
			all[id] = one
			order = append(order, one)
			wait.Add(1)
			go func() {
				defer wait.Done()
				free <- struct{}{}
				one.Image, one.Err = fetch(ctx, r)
				<-free
			}()
		}
		*to = one
	})
	wait.Wait()
	s.eachObject(func(object *string, _ string, f **Fetched) {
		if *f != nil && (*f).Err == nil {
			*object = (*f).Image.Pinned()
		}
	})
	done := make([]Fetched, len(order))
	for i, f := range order {
		done[i] = *f
	}
	return done
}

// eachObject calls do for each object that the state names, with the key by which it has to be signed
// if it is an image, and with what has become of that.
func (s *State) eachObject(do func(object *string, key string, fetched **Fetched)) {
	for i := range s.Interfaces {
		for j := range s.Interfaces[i].Programs {
			p := &s.Interfaces[i].Programs[j]
			do(&p.Object, p.VerifyKey, &p.fetched)
			for _, calls := range p.TailCalls {
				for k := range calls {
					if calls[k].Object != "" {
						do(&calls[k].Object, p.VerifyKey, &calls[k].fetched)
					}
				}
			}
		}
	}
}

// absolute is a path that means the same in any directory, or the name of an image.
func absolute(object string) (string, error) {
	if image.Is(object) {
		return object, nil
	}
	return filepath.Abs(object)
}

// under is an object as a file in that directory names it.
func under(dir, object string) string {
	if image.Is(object) || filepath.IsAbs(object) {
		return object
	}
	return filepath.Join(dir, object)
}
