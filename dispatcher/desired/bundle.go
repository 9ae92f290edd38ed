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
	state, strangers, err := export(ctx, r, ifnames, func(run *running) (string, error) {
		data, err := run.objectBytes(ctx, kept)
		if err != nil {
			return "", err
		}
		// Two objects of one name are told apart by what is in them.
		name := fmt.Sprintf("%s-%.12s.o", strings.TrimSuffix(filepath.Base(run.record.Program.Object), ".o"), sum(data))
		if err := os.WriteFile(filepath.Join(tmp, name), data, 0o600); err != nil {
			return "", unwritable(dir, err)
		}
		return name, nil
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

// objectBytes is the object that a program was loaded from.
func (r *running) objectBytes(ctx context.Context, kept func(xdp.Loaded) ([]byte, error)) ([]byte, error) {
	file := r.record.Program.Object
	o := newObjects()
	defer o.close()
	w, err := o.resolve(ctx, r.record.Program)
	if err == nil && w.digest == r.record.Digest {
		return w.data, nil
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
			return data, nil
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
