package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/input"
	"github.com/xdpmux/xdpmux/dispatcher/internal/objectfile"
)

// objectLimit is how large an object file may be, in bytes.
const objectLimit = 64 << 20

// readObject stands for ReadFile of package inspect.
func readObject(ctx context.Context, file string) ([]byte, error) {
	data, err := input.ReadFile(ctx, file, objectLimit)
	switch {
	case err == nil:
		return data, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, input.ErrTooLarge):
		return nil, &Error{Kind: ErrObject, Err: err, Msg: fmt.Sprintf("%s has more than %d MiB, which no object file has", file, objectLimit>>20)}
	}
	return nil, &Error{Kind: ErrObject, Err: err, Msg: fmt.Sprintf("can't open %s: %v", file, err)}
}

// object is an object file that is open.
type object struct {
	*libbpf.Object
	file *objectfile.File
}

// openObject opens an object file that has been read and looked through. Its maps of
// global variables get the names that they would have from the file. It stands for
// bpf_object__open_mem.
func openObject(file string, data []byte, opts libbpf.OpenOptions) (*object, error) {
	parsed, err := objectfile.Parse(data)
	if err != nil {
		return nil, explainObject(file, err)
	}
	opts.Name, _, _ = strings.Cut(filepath.Base(file), ".")
	obj, err := libbpf.OpenMem(data, opts)
	if err != nil {
		return nil, explainObject(file, err)
	}
	return &object{obj, parsed}, nil
}

// place is where the object wants a program of that function to run in a chain.
func (o *object) place(file, function string) (priority uint32, actions Actions, err error) {
	c, err := o.file.RunConfig(function, VerdictNames())
	if err != nil {
		return 0, 0, explainObject(file, err)
	}
	return c.Priority, Actions(c.Actions), nil
}
