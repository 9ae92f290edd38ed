package native

import (
	"slices"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// Named is the program of that name; nil: there is none.
func Named(all []*libbpf.Program, name string) *libbpf.Program {
	i := slices.IndexFunc(all, func(p *libbpf.Program) bool { return p.Name() == name })
	if i < 0 {
		return nil
	}
	return all[i]
}

// LoadOnly has an object, whose programs are all, load these of them and no others.
func LoadOnly(all []*libbpf.Program, wanted ...*libbpf.Program) error {
	for _, p := range all {
		if err := p.SetAutoload(slices.Contains(wanted, p)); err != nil {
			return err
		}
	}
	return nil
}
