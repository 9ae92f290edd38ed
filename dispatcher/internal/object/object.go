package object

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/internal/input"
	"github.com/xdpmux/xdpmux/dispatcher/internal/objectfile"
	"github.com/xdpmux/xdpmux/dispatcher/internal/store"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// objectLimit is how large an object file may be, in bytes.
const objectLimit = 64 << 20

// unnamed is what errors call an object that a caller has in memory and gives no name.
const unnamed = "the object in memory"

// ReadFile stands for ReadFile of package inspect.
func ReadFile(ctx context.Context, file string) ([]byte, error) {
	if image.Is(file) {
		return keptImage(file)
	}
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

// keptImage is the object of an image that was fetched before. An image of that digest has no
// other.
func keptImage(name string) ([]byte, error) {
	digest := image.Digest(name)
	if digest == "" {
		return nil, &xdp.Error{Kind: xdp.ErrImage, Msg: name + " names no digest, so that it is for a registry to say which image that is",
			Remedy: "fetch it first"}
	}
	if _, data := store.Default.Image(digest); data != nil {
		return data, nil
	}
	return nil, (&xdp.Error{Kind: xdp.ErrImage, Msg: fmt.Sprintf("%s is not in %s any more, where the images are kept that were fetched", name, store.Default)}).
		Advise("%v", xdp.Hint{To: xdp.HintPull})
}

// File is an object file that is open.
type File struct {
	*libbpf.Object
	File   *objectfile.File
	HadBTF bool // in the file; what was opened has it, unless it has no function

	// TailCalls are the slots of program arrays that the file fills. What was opened fills
	// none: Program.Load does that.
	TailCalls []objectfile.TailCall
}

// OpenFile opens an object file that has been read and looked through. Its maps of
// global variables get the names that they would have from the file. Where the file lacks the
// types without which the kernel takes no program into a chain, they are added to what is
// opened. It stands for bpf_object__open_mem.
func OpenFile(file string, data []byte, opts libbpf.OpenOptions) (*File, error) {
	parsed, err := objectfile.Parse(data)
	if err != nil {
		return nil, explainObject(file, err)
	}
	if opts.Name, _, _ = strings.Cut(filepath.Base(file), "."); file == unnamed {
		opts.Name = "memory"
	}
	hadBTF, calls := parsed.BTF != nil, parsed.TailCalls()
	if len(calls) > 0 {
		data = parsed.WithoutTailCalls()
		if parsed, err = objectfile.Parse(data); err != nil {
			return nil, explainObject(file, err)
		}
	}
	f, err := openParsed(file, data, parsed, opts)
	if err != nil {
		return nil, err
	}
	if programs := f.untypedPrograms(); len(programs) > 0 || parsed.Untyped() {
		f.Close()
		data = parsed.Typed(programs)
		if parsed, err = objectfile.Parse(data); err != nil {
			return nil, explainObject(file, err)
		}
		if f, err = openParsed(file, data, parsed, opts); err != nil {
			return nil, err
		}
	}
	f.HadBTF, f.TailCalls = hadBTF, calls
	return f, nil
}

func openParsed(file string, data []byte, parsed *objectfile.File, opts libbpf.OpenOptions) (*File, error) {
	obj, err := libbpf.OpenMem(data, opts)
	if err != nil {
		return nil, explainOpen(file, parsed, err)
	}
	return &File{Object: obj, File: parsed}, nil
}

// untypedPrograms are the XDP programs of which the type information doesn't say, in the
// kernel's eyes, that they are functions as those of a dispatcher.
func (o *File) untypedPrograms() map[string]bool {
	untyped, types := map[string]bool{}, o.File.FunctionTypes()
	for _, p := range o.Programs() {
		if CanBeXDP(p) && !isContextFunction(o.BTF(), types[p.Name()]) {
			untyped[p.Name()] = true
		}
	}
	return untyped
}

// isContextFunction says whether a function's type is that of the functions of a dispatcher:
// int prog(struct xdp_md *). The kernel compares them by kind and name.
func isContextFunction(btf *libbpf.BTF, id uint32) bool {
	if btf == nil || id == 0 {
		return false
	}
	proto := Follow(btf, id)
	if proto == nil || proto.Kind != libbpf.KindFuncProto || len(proto.Members) != 1 {
		return false
	}
	result, arg := Follow(btf, proto.Ref), Follow(btf, proto.Members[0].Type)
	if result == nil || result.Kind != libbpf.KindInt || arg == nil || arg.Kind != libbpf.KindPtr {
		return false
	}
	ctx := Follow(btf, arg.Ref)
	return ctx != nil && ctx.Kind == libbpf.KindStruct && ctx.Name == "xdp_md"
}

// Place is where the object wants a program of that function to run in a chain.
func (o *File) Place(file, function string) (priority uint32, actions xdp.Actions, err error) {
	c, err := o.File.RunConfig(function, xdp.VerdictNames())
	if err != nil {
		return 0, 0, explainObject(file, err)
	}
	return c.Priority, xdp.Actions(c.Actions), nil
}
