package dispatcher

import (
	"context"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// Listed is a program of an object file.
type Listed struct {
	Name    string // the function's
	Section string
}

// Listing lists the programs of an object file that can be XDP. Errors:
// [ErrObject].
func Listing(file string) ([]Listed, error) {
	data, err := readObject(context.Background(), file)
	if err != nil {
		return nil, err
	}
	obj, err := openObject(file, data, libbpf.OpenOptions{})
	if err != nil {
		return nil, err
	}
	defer obj.Close()
	var all []Listed
	for _, p := range obj.Programs() {
		if canBeXDP(p) {
			all = append(all, Listed{Name: p.Name(), Section: p.Section()})
		}
	}
	return all, nil
}
