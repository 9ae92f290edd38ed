package desired

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// BundleFile is the name of the state file of a bundle.
const BundleFile = "state.yaml"

// Bundle writes what [Export] returns into a new directory, with the objects beside the state
// file, so that another machine can apply it. The objects are those that the programs were
// loaded from: where a file has changed since, kept is asked for its bytes, unless it is nil.
// The directory is there whole, or not at all.
//
// Errors: those of Export; [xdp.ErrInvalid] if there is something of that name already;
// [xdp.ErrNotSource] for a program whose object nobody has any more.
func Bundle(ctx context.Context, dir string, kept func(xdp.Loaded) ([]byte, error), ifnames ...string) ([]Stranger, error) {
	return bundle(ctx, defaultRecords, dir, kept, ifnames)
}

func bundle(ctx context.Context, r records, dir string, kept func(xdp.Loaded) ([]byte, error), ifnames []string) (_ []Stranger, err error) {
	dir = filepath.Clean(dir)
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return nil, inTheWay(dir, err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".*")
	if err != nil {
		return nil, unwritable(dir, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	write := func(file string, data []byte) (string, error) {
		// Two objects of one name are told apart by what is in them.
		base := strings.TrimSuffix(filepath.Base(file), ".o")
		if image.Is(file) {
			base = image.Base(file)
		}
		name := fmt.Sprintf("%s-%.12s.o", base, sum(data))
		if err := os.WriteFile(filepath.Join(tmp, name), data, 0o600); err != nil {
			return "", unwritable(dir, err)
		}
		return name, nil
	}
	state, strangers, err := export(ctx, r, ifnames, func(run *running) (p Program, err error) {
		p = run.record.Program
		w, err := run.source(ctx, kept)
		if err != nil {
			return p, err
		}
		called := map[string]string{} // files beside the state, by those that the record names
		for _, c := range w.calls {
			if c.Data != nil {
				if called[c.File], err = write(c.File, c.Data); err != nil {
					return p, err
				}
			}
		}
		p.TailCalls, p.VerifyKey = p.callsOf(called), ""
		p.Object, err = write(p.Object, w.data)
		return p, err
	})
	if err != nil {
		return nil, err
	}
	text, err := state.YAML()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(tmp, BundleFile), text, 0o600); err != nil {
		return nil, unwritable(dir, err)
	}
	err = os.Rename(tmp, dir)
	switch {
	case errors.Is(err, syscall.EEXIST), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENOTEMPTY):
		return nil, inTheWay(dir, err)
	case err != nil:
		return nil, unwritable(dir, err)
	}
	return strangers, nil
}

// callsOf are the program's tail calls, with other files for those of other objects.
func (p Program) callsOf(files map[string]string) map[string][]TailCall {
	if p.TailCalls == nil {
		return nil
	}
	all := map[string][]TailCall{}
	for array, calls := range p.TailCalls {
		for _, c := range calls {
			if c.Object != "" {
				object, _ := absolute(c.Object)
				c.Object = files[object]
			}
			all[array] = append(all[array], c)
		}
	}
	return all
}

// source is what a program was loaded from.
func (r *running) source(ctx context.Context, kept func(xdp.Loaded) ([]byte, error)) (*wanted, error) {
	file := r.record.Program.Object
	o := newObjects()
	defer o.close()
	w, err := o.resolve(ctx, r.record.Program)
	if err == nil && w.digest == r.record.Digest {
		return w, nil
	}
	why := fmt.Sprintf("%s has changed since", file)
	if err != nil {
		why = err.Error()
	}
	if kept != nil {
		o := newObjects()
		defer o.close()
		data, err := kept(r.Loaded)
		if err == nil {
			_, err = o.remember(file, data)
		}
		if err == nil {
			w, err = o.resolve(ctx, r.record.Program)
		}
		if err == nil && w.digest == r.record.Digest {
			return w, nil
		}
	}
	return nil, &xdp.Error{Kind: xdp.ErrNotSource, Msg: fmt.Sprintf("nobody has what %v was loaded from: %s, and there is no copy", r.Loaded, why),
		Remedy: "put the file back, or load the program anew"}
}

func inTheWay(dir string, err error) error {
	return &xdp.Error{Kind: xdp.ErrInvalid, Err: err, Msg: dir + " is there already", Remedy: "name a directory that isn't there yet"}
}

func unwritable(dir string, err error) error {
	return &xdp.Error{Kind: xdp.ErrSystem, Err: err, Msg: fmt.Sprintf("can't write %s: %v", dir, err)}
}
