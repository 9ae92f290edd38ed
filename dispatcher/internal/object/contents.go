package object

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// fill writes the initial contents of the maps of a program that is loaded and not
// yet attached. A map that was found at its pin, in use by others, keeps what it
// holds. It stands for bpf_map_update_elem.
func (o *Program) fill() error {
	contents := o.contents()
	if len(contents) == 0 {
		return nil
	}
	cpus, err := libbpf.NumPossibleCPUs()
	if err != nil {
		return err
	}
	maps := o.Obj.Maps()
	var names []string
	for i, m := range maps {
		name := m.Name()
		if m.Internal() {
			name = o.names[i]
		}
		names = append(names, name)
	}
	for _, e := range contents {
		i := slices.Index(names, e.Map)
		if i < 0 {
			return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("%s has no map %q", o.Called, e.Map), Remedy: fmt.Sprintf("its maps: %q", names)}
		}
		m := maps[i]
		padded, wide := (m.ValueSize()+7)&^7, 0 // the values of all CPUs
		if m.Type().PerCPU() {
			wide = padded * cpus
		}
		if len(e.Key) != m.KeySize() || len(e.Value) != m.ValueSize() && len(e.Value) != wide {
			return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("map %q has keys of %d bytes and values of %d, not of %d and %d",
				e.Map, m.KeySize(), m.ValueSize(), len(e.Key), len(e.Value))}
		}
		if o.keeps(i) || o.filled != nil && o.filled[i] || m.PinPath() != "" { // new ones have no pin yet
			continue
		}
		value := e.Value
		if wide != 0 && len(value) != wide {
			one := make([]byte, padded)
			copy(one, value)
			value = slices.Repeat(one, cpus)
		}
		if err := libbpf.MapUpdate(m.FD(), e.Key, value, libbpf.UpdateAny); err != nil {
			return explainFill(o, e, m, err)
		}
	}
	return nil
}

// contents are the entries that the maps are to hold.
func (o *Program) contents() []xdp.MapEntry {
	if len(o.Spec.Restore) == 0 {
		return o.Spec.Contents
	}
	var all []xdp.MapEntry
	for _, e := range o.Spec.Contents {
		if _, restored := o.Spec.Restore[e.Map]; !restored {
			all = append(all, e)
		}
	}
	for _, entries := range o.Spec.Restore {
		all = append(all, entries...)
	}
	return all
}

func explainFill(o *Program, e xdp.MapEntry, m *libbpf.Map, err error) error {
	wrong := &xdp.Error{Kind: xdp.ErrInvalid, Err: err, Msg: fmt.Sprintf("map %q of %s takes no entry % x: %s", e.Map, o.Called, e.Key, native.Cause(err))}
	if errors.Is(err, syscall.E2BIG) {
		wrong.Msg = fmt.Sprintf("map %q of %s takes %d entries, and % x is none of them or one too many", e.Map, o.Called, m.MaxEntries(), e.Key)
	}
	return wrong
}
