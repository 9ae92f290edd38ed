package desired

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/xdpmux/xdpmux/dispatcher/internal/input"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// extensions are the names of the files that are read from a directory.
var extensions = []string{".yaml", ".yml", ".json"}

// FileLimit is how large a state file may be, in bytes.
const FileLimit = 4 << 20

// Read reads state files, YAML or JSON, and puts them together to one state. Of a directory
// it reads the files that end in .yaml, .yml or .json, in the order of their names. Paths
// of objects become absolute. An error names the line and the column. A file has at most
// [FileLimit] bytes and about a million values. ctx can end Read, also while it waits for
// somebody to write to a FIFO.
func Read(ctx context.Context, paths ...string) (*State, error) {
	s := &State{Interfaces: []Interface{}}
	err := ReadFiles(ctx, "state", paths, func(file string, data []byte) error {
		one, err := Parse(ctx, file, filepath.Dir(file), data)
		if err != nil {
			return err
		}
		return s.Add(one)
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// ReadFiles calls parse for each file, and for those in directories, as [Read] reads them. Errors
// call what the files hold by that word.
func ReadFiles(ctx context.Context, what string, paths []string, parse func(file string, data []byte) error) error {
	files, err := listFiles(what, paths)
	if err != nil {
		return err
	}
	for _, file := range files {
		data, err := input.ReadFile(ctx, file, FileLimit)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return cantRead(what, file, err)
		}
		if err := parse(file, data); err != nil {
			return err
		}
	}
	return nil
}

func listFiles(what string, paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, cantRead(what, path, err)
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		some, err := Files(path)
		if err != nil {
			return nil, cantRead(what, path, err)
		}
		if len(some) == 0 {
			return nil, invalid("", "the directory %s has no %s file", path, what)
		}
		files = append(files, some...)
	}
	return files, nil
}

// Files are the paths of the files that [Read] reads of a directory, in their order. Errors are
// those of [os.ReadDir].
func Files(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if slices.Contains(extensions, filepath.Ext(e.Name())) && e.Name()[0] != '.' {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, nil
}

func cantRead(what, path string, err error) error {
	var of *fs.PathError
	if errors.As(err, &of) {
		err = of.Err
	}
	return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("can't read the %s in %s: %v", what, path, err), Err: err,
		Remedy: "name a file, or a directory with files that end in .yaml, .yml or .json"}
}
