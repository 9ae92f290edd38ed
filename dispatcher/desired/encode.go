package desired

import (
	"maps"
	"slices"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher/inspect"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/value"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// encodeMaps makes the bytes of the initial contents, in the sizes of the maps.
func encodeMaps(p Program, shapes []inspect.ObjectMap) ([]xdp.MapEntry, error) {
	var all []xdp.MapEntry
	for _, name := range slices.Sorted(maps.Keys(p.Maps)) {
		i := slices.IndexFunc(shapes, func(s inspect.ObjectMap) bool { return s.Name == name })
		if i < 0 {
			return nil, noMap(p, name, shapes)
		}
		for _, e := range p.Maps[name] {
			key, err := value.Encode(e.Key, shapes[i].KeySize)
			if err != nil {
				return nil, invalid(p.where, "map %q: key %v %v", name, e.Key, err)
			}
			content, err := value.Encode(e.Value, shapes[i].ValueSize)
			if err != nil {
				return nil, invalid(p.where, "map %q: value %v %v", name, e.Value, err)
			}
			all = append(all, xdp.MapEntry{Map: name, Key: key, Value: content})
		}
	}
	return all, nil
}

// encodeVariables makes the bytes of global variables, in the variables' sizes.
func encodeVariables(p Program, data []byte) (map[string]any, error) {
	if len(p.Variables) == 0 {
		return nil, nil
	}
	sizes, err := object.VariableSizes(p.Object, data)
	if err != nil {
		return nil, locate(p.where, err)
	}
	all := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(p.Variables)) {
		size, ok := sizes[name]
		if !ok {
			return nil, locate(p.where, object.NoVariable(p.Object, name, slices.Sorted(maps.Keys(sizes))))
		}
		if all[name], err = value.Encode(p.Variables[name], size); err != nil {
			return nil, invalid(p.where, "variable %q: value %v %v", name, p.Variables[name], err)
		}
	}
	return all, nil
}

// noMap says which maps there are instead.
func noMap(p Program, name string, shapes []inspect.ObjectMap) error {
	err := invalid(p.where, "%s has no map %q", p.Object, name)
	var names []string
	for _, s := range shapes {
		names = append(names, s.Name)
	}
	err.Remedy = "its maps: " + strings.Join(names, ", ")
	return err
}
