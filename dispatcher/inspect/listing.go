package inspect

import (
	"context"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
)

// Listed is a program of an object file.
type Listed struct {
	Name    string // the function's
	Section string
}

// List lists the programs of an object file that can be XDP. Errors:
// [xdp.ErrObject].
func List(file string) ([]Listed, error) {
	data, err := object.ReadFile(context.Background(), file)
	if err != nil {
		return nil, err
	}
	obj, err := object.OpenFile(file, data, libbpf.OpenOptions{})
	if err != nil {
		return nil, err
	}
	defer obj.Close()
	var all []Listed
	for _, p := range obj.Programs() {
		if object.CanBeXDP(p) {
			all = append(all, Listed{Name: p.Name(), Section: p.Section()})
		}
	}
	return all, nil
}
