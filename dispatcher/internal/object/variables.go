package object

import (
	"encoding"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/value"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// setVariables gives global variables the values that were asked for. file is what to call
// the object.
func setVariables(file string, wanted map[string]any, obj *File) error {
	if len(wanted) == 0 {
		return nil
	}
	all, err := variablesOf(obj)
	if err != nil {
		return explainObject(file, err)
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		memory, ok := all[name]
		if !ok {
			return NoVariable(file, name, slices.Sorted(maps.Keys(all)))
		}
		bytes, err := EncodeVariable(wanted[name], len(memory))
		if err != nil {
			return &xdp.Error{Kind: xdp.ErrInvalid, Err: err, Msg: fmt.Sprintf("variable %q of %s has %d bytes, and its value %v", name, file, len(memory), err)}
		}
		copy(memory, bytes)
	}
	return nil
}

// NoVariable is the error of a name that isn't among the object's global variables.
func NoVariable(file, name string, all []string) *xdp.Error {
	return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("%s has no global variable %q", file, name),
		Remedy: fmt.Sprintf("its variables: %q; the compiler leaves out those that nothing uses", all)}
}

// VariableSizes are how many bytes the global variables of an object have that was read
// already, by their names.
func VariableSizes(file string, data []byte) (map[string]int, error) {
	obj, err := OpenFile(file, data, libbpf.OpenOptions{})
	if err != nil {
		return nil, err
	}
	defer obj.Close()
	all, err := variablesOf(obj)
	if err != nil {
		return nil, explainObject(file, err)
	}
	sizes := map[string]int{}
	for name, memory := range all {
		sizes[name] = len(memory)
	}
	return sizes, nil
}

// variablesOf are the global variables of an object that isn't loaded yet, constants
// included, by their names: the memory that each gets its value from in the load.
func variablesOf(obj *File) (map[string][]byte, error) {
	all := map[string][]byte{}
	btf := obj.BTF()
	for _, m := range obj.Maps() {
		memory := m.InitialValue()
		if !m.Internal() || m.BTFValueTypeID() == 0 || obj.mapName(m) == ".kconfig" { // which libbpf fills
			continue
		}
		section, err := btf.Type(m.BTFValueTypeID())
		if err != nil {
			return nil, err
		}
		for _, member := range section.Members {
			variable, err := btf.Type(member.Type)
			if err != nil {
				return nil, err
			}
			layout, err := value.FromBTF(btf, member.Type)
			if err != nil {
				return nil, err
			}
			at := member.BitOffset / 8
			if at+layout.Size() > len(memory) {
				return nil, fmt.Errorf("variable %q lies outside of %s", variable.Name, section.Name)
			}
			all[variable.Name] = memory[at : at+layout.Size()]
		}
	}
	return all, nil
}

// EncodeVariable makes the bytes of a variable of so many bytes, as [xdp.Program] says. The
// error goes on after "its value".
func EncodeVariable(v any, size int) ([]byte, error) {
	made, err := bytesOf(v, size)
	if err == nil && len(made) != size {
		err = fmt.Errorf("has %d", len(made))
	}
	return made, err
}

func bytesOf(v any, size int) ([]byte, error) {
	if v == nil {
		return nil, errors.New("is missing")
	}
	if m, ok := v.(encoding.BinaryMarshaler); ok { // an address
		return m.MarshalBinary()
	}
	switch r := reflect.ValueOf(v); {
	case r.CanInt():
		return number(strconv.FormatInt(r.Int(), 10), size)
	case r.CanUint():
		return number(strconv.FormatUint(r.Uint(), 10), size)
	case r.Kind() == reflect.String:
		if r.Len() >= size {
			return nil, fmt.Errorf("has %d and the zero behind them", r.Len())
		}
		return append([]byte(r.String()), make([]byte, size-r.Len())...), nil
	case r.Kind() == reflect.Slice && r.Type().Elem().Kind() == reflect.Uint8:
		return r.Bytes(), nil
	}
	made, err := binary.Append(nil, binary.NativeEndian, v)
	if err != nil {
		return nil, fmt.Errorf("is a %T, which has no fixed size", v)
	}
	return made, nil
}

func number(digits string, size int) ([]byte, error) {
	made, err := value.Encode(json.Number(digits), size)
	if err != nil {
		return nil, fmt.Errorf("is %s, which doesn't fit", digits)
	}
	return made, nil
}
