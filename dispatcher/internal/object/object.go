package object

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/input"
	"github.com/xdpmux/xdpmux/dispatcher/internal/objectfile"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// objectLimit is how large an object file may be, in bytes.
const objectLimit = 64 << 20

// ReadFile stands for ReadFile of package inspect.
func ReadFile(ctx context.Context, file string) ([]byte, error) {
	data, err := input.ReadFile(ctx, file, objectLimit)
	switch {
	case err == nil:
		return data, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, input.ErrTooLarge):
		return nil, &xdp.Error{Kind: xdp.ErrObject, Err: err, Msg: fmt.Sprintf("%s has more than %d MiB, which no object file has", file, objectLimit>>20)}
	}
	return nil, &xdp.Error{Kind: xdp.ErrObject, Err: err, Msg: fmt.Sprintf("can't open %s: %v", file, err)}
}

// File is an object file that is open.
type File struct {
	*libbpf.Object
	File *objectfile.File
}

// OpenFile opens an object file that has been read and looked through. Its maps of
// global variables get the names that they would have from the file. It stands for
// bpf_object__open_mem.
func OpenFile(file string, data []byte, opts libbpf.OpenOptions) (*File, error) {
	parsed, err := objectfile.Parse(data)
	if err != nil {
		return nil, explainObject(file, err)
	}
	if opts.Name, _, _ = strings.Cut(filepath.Base(file), "."); file == unnamed {
		opts.Name = "memory"
	}
	obj, err := libbpf.OpenMem(data, opts)
	if err != nil {
		return nil, explainObject(file, err)
	}
	return &File{obj, parsed}, nil
}

// Place is where the object wants a program of that function to run in a chain.
func (o *File) Place(file, function string) (priority uint32, actions xdp.Actions, err error) {
	c, err := o.File.RunConfig(function, xdp.VerdictNames())
	if err != nil {
		return 0, 0, explainObject(file, err)
	}
	return c.Priority, xdp.Actions(c.Actions), nil
}
