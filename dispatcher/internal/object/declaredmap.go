package object

import (
	"cmp"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/value"
)

// declaredMap is what an object's BTF says of a map: a variable in the section .maps,
// of a struct whose members are made by __uint, __type and __array of bpf_helpers.h.
type declaredMap struct {
	typ                libbpf.MapType
	keySize, valueSize int // bytes
	entries            int
	flags              uint32
	keyType, valueType uint32        // 0: only the sizes are said
	key, value         *value.Layout // nil: not known
	inner              *declaredMap  // of a map of maps; nil: not said
}

// mapsSection is where libbpf looks for the maps of an object.
const mapsSection = ".maps"

// declaredMaps are the maps that an object declares, by their names in full. What can't
// be read is left out.
func declaredMaps(btf *libbpf.BTF) map[string]*declaredMap {
	all := map[string]*declaredMap{}
	if btf == nil {
		return all
	}
	id, err := btf.Find(mapsSection, libbpf.KindDatasec)
	if err != nil {
		return all
	}
	section, err := btf.Type(id)
	if err != nil {
		return all
	}
	for _, m := range section.Members {
		variable, err := btf.Type(m.Type)
		if err != nil || variable.Kind != libbpf.KindVar {
			continue
		}
		if d := declaration(btf, Follow(btf, variable.Ref), 0); d != nil {
			all[variable.Name] = d
		}
	}
	return all
}

// declaration reads the struct of a map; nil: it is none.
func declaration(btf *libbpf.BTF, t *libbpf.Type, depth int) *declaredMap {
	if t == nil || t.Kind != libbpf.KindStruct || depth > 1 {
		return nil
	}
	d := &declaredMap{}
	for _, m := range t.Members {
		member := Follow(btf, m.Type)
		if member == nil {
			return nil
		}
		if m.Name == "values" {
			if member.Kind == libbpf.KindArray {
				d.inner = declaration(btf, pointee(btf, Follow(btf, member.Ref)), depth+1)
				d.valueSize = cmp.Or(d.valueSize, 4) // an id
			}
			continue
		}
		to := pointee(btf, member)
		if to == nil {
			continue
		}
		switch m.Name {
		case "type":
			d.typ = libbpf.MapType(to.Len)
		case "key_size":
			d.keySize = to.Len
		case "value_size":
			d.valueSize = to.Len
		case "max_entries":
			d.entries = to.Len
		case "map_flags":
			d.flags = uint32(to.Len)
		case "key":
			d.keyType, d.key = member.Ref, layoutOrNil(btf, member.Ref)
			d.keySize = d.key.Size()
		case "value":
			d.valueType, d.value = member.Ref, layoutOrNil(btf, member.Ref)
			d.valueSize = d.value.Size()
		}
	}
	return d
}

// pointee is what a pointer points to; nil: it is none.
func pointee(btf *libbpf.BTF, t *libbpf.Type) *libbpf.Type {
	if t == nil || t.Kind != libbpf.KindPtr {
		return nil
	}
	return Follow(btf, t.Ref)
}

// layoutOrNil is the layout of a type; nil: it isn't known.
func layoutOrNil(btf *libbpf.BTF, id uint32) *value.Layout {
	if id == 0 {
		return nil
	}
	l, err := value.FromBTF(btf, id)
	if err != nil {
		return nil
	}
	return l
}

// difference names what of the map's types differs from another declaration of a map of
// that type and those sizes; empty: nothing does.
func (d *declaredMap) difference(other *declaredMap, typ libbpf.MapType) string {
	if member, differ := layoutsDiffer(d.key, other.key); differ {
		return "the key" + member
	}
	if member, differ := layoutsDiffer(d.value, other.value); differ {
		return "the value" + member
	}
	if typ != libbpf.MapTypeArrayOfMaps && typ != libbpf.MapTypeHashOfMaps {
		return ""
	}
	a, b := d.inner, other.inner
	switch {
	case a == nil || b == nil, a.typ != b.typ, a.keySize != b.keySize, a.valueSize != b.valueSize, a.entries != b.entries, a.flags != b.flags:
		return "the layout of the maps in it"
	}
	if difference := a.difference(b, a.typ); difference != "" {
		return difference + " of the maps in it"
	}
	return ""
}

// layoutsDiffer compares layouts that are both known, and names the member.
func layoutsDiffer(a, b *value.Layout) (member string, differ bool) {
	if a == nil || b == nil {
		return "", false
	}
	member, differ = a.Difference(b)
	if member != "" {
		member = "'s member " + member
	}
	return member, differ
}

// Follow is the type itself behind a function, modifiers and typedefs; nil: BTF is
// broken.
func Follow(btf *libbpf.BTF, id uint32) *libbpf.Type {
	for range 64 {
		t, err := btf.Type(id)
		if err != nil {
			return nil
		}
		switch t.Kind {
		case libbpf.KindFunc, libbpf.KindTypedef, libbpf.KindConst, libbpf.KindVolatile, libbpf.KindRestrict, libbpf.KindTypeTag:
			id = t.Ref
		default:
			return t
		}
	}
	return nil
}
