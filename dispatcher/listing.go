package dispatcher

import "github.com/xdpmux/xdpmux/cgo/libbpf"

// Listed is a program of an object file.
type Listed struct {
	Name    string // the function's
	Section string
}

// Listing lists the programs of an object file that can be XDP. Errors:
// [ErrObject].
func Listing(file string) ([]Listed, error) {
	obj, err := libbpf.OpenFile(file, libbpf.OpenOptions{})
	if err != nil {
		return nil, explainObject(file, err)
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
