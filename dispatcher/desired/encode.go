package desired

import (
	"maps"
	"slices"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher/inspect"
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
