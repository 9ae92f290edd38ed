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
	if len(o.Spec.Contents) == 0 {
		return nil
	}
	cpus, err := libbpf.NumPossibleCPUs()
	if err != nil {
		return err
	}
	maps := o.Obj.Maps()
	var names []string
	for _, m := range maps {
		names = append(names, m.Name())
	}
	for _, e := range o.Spec.Contents {
		i := slices.Index(names, e.Map)
		if i < 0 {
			return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("%s has no map %q", o.Called, e.Map), Remedy: fmt.Sprintf("its maps: %q", names)}
		}
		m := maps[i]
		if len(e.Key) != m.KeySize() || len(e.Value) != m.ValueSize() {
			return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("map %q has keys of %d bytes and values of %d, not of %d and %d",
				e.Map, m.KeySize(), m.ValueSize(), len(e.Key), len(e.Value))}
		}
		if o.keeps(i) || o.filled != nil && o.filled[i] || m.PinPath() != "" { // new ones have no pin yet
			continue
		}
		value := e.Value
		if m.Type().PerCPU() {
			padded := make([]byte, (len(value)+7)&^7)
			copy(padded, value)
			value = slices.Repeat(padded, cpus)
		}
		if err := libbpf.MapUpdate(m.FD(), e.Key, value, libbpf.UpdateAny); err != nil {
			return explainFill(o, e, m, err)
		}
	}
	return nil
}

func explainFill(o *Program, e xdp.MapEntry, m *libbpf.Map, err error) error {
	wrong := &xdp.Error{Kind: xdp.ErrInvalid, Err: err, Msg: fmt.Sprintf("map %q of %s takes no entry % x: %s", e.Map, o.Called, e.Key, native.Cause(err))}
	if errors.Is(err, syscall.E2BIG) {
		wrong.Msg = fmt.Sprintf("map %q of %s takes %d entries, and % x is none of them or one too many", e.Map, o.Called, m.MaxEntries(), e.Key)
	}
	return wrong
}
