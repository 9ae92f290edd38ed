package libbpf

/*
#include "shim.h"
*/
import "C"

import "unsafe"

// Kind is the kind of a type (BTF_KIND_).
type Kind uint32

// The kinds. KindFwd is a struct or union that isn't defined.
const (
	KindVoid      Kind = C.BTF_KIND_UNKN
	KindInt       Kind = C.BTF_KIND_INT
	KindPtr       Kind = C.BTF_KIND_PTR
	KindArray     Kind = C.BTF_KIND_ARRAY
	KindStruct    Kind = C.BTF_KIND_STRUCT
	KindUnion     Kind = C.BTF_KIND_UNION
	KindEnum      Kind = C.BTF_KIND_ENUM
	KindFwd       Kind = C.BTF_KIND_FWD
	KindTypedef   Kind = C.BTF_KIND_TYPEDEF
	KindVolatile  Kind = C.BTF_KIND_VOLATILE
	KindConst     Kind = C.BTF_KIND_CONST
	KindRestrict  Kind = C.BTF_KIND_RESTRICT
	KindFunc      Kind = C.BTF_KIND_FUNC
	KindFuncProto Kind = C.BTF_KIND_FUNC_PROTO
	KindVar       Kind = C.BTF_KIND_VAR
	KindDatasec   Kind = C.BTF_KIND_DATASEC
	KindFloat     Kind = C.BTF_KIND_FLOAT
	KindDeclTag   Kind = C.BTF_KIND_DECL_TAG
	KindTypeTag   Kind = C.BTF_KIND_TYPE_TAG
	KindEnum64    Kind = C.BTF_KIND_ENUM64
)

// Type is one type of a BTF (struct btf_type). Which fields have a meaning depends on its
// kind.
type Type struct {
	ID   uint32
	Kind Kind
	Name string // empty: it has none

	// Size is in bytes. Int, float, enum, enum64, struct, union and datasec have one.
	Size int

	// Ref is the id of another type: the one that a ptr, typedef, const, volatile,
	// restrict, tag, func or var is of, that a func_proto returns, or that the elements of
	// an array have.
	Ref uint32

	Len    int  // the number of elements of an array
	Signed bool // of int, enum and enum64
	Char   bool // of int
	Bool   bool // of int
	Bits   int  // of int

	Members []Member    // of struct, union, datasec and func_proto
	Values  []EnumValue // of enum and enum64
}

// Member is a member of a struct or union, a variable of a datasec, or a parameter
// of a func_proto.
type Member struct {
	Name      string // empty: it has none; a variable's is that of its Type
	Type      uint32 // an id
	BitOffset int    // from the start of the value
	BitSize   int    // of a bit field; 0: it is none
}

// EnumValue is a value of an enum or enum64.
type EnumValue struct {
	Name  string
	Value int64 // of an unsigned enum64, the same 64 bits
}

// Type is the type with that id. EINVAL: there is none. It stands for
// btf__type_by_id.
func (b *BTF) Type(id uint32) (*Type, error) {
	t, err := C.btf__type_by_id(b.ptr, C.__u32(id))
	if err := checkPtr("btf__type_by_id", t == nil, err); err != nil {
		return nil, err
	}
	r := &Type{ID: id, Kind: Kind(C.btf_kind(t)), Name: b.name(t.name_off)}
	n := int(C.btf_vlen(t))
	switch r.Kind {
	case KindInt:
		encoding := C.btf_int_encoding(t)
		r.Size, r.Bits = int(C.xm_btf_size(t)), int(C.btf_int_bits(t))
		r.Signed = encoding&C.BTF_INT_SIGNED != 0
		r.Char = encoding&C.BTF_INT_CHAR != 0
		r.Bool = encoding&C.BTF_INT_BOOL != 0
	case KindFloat:
		r.Size = int(C.xm_btf_size(t))
	case KindArray:
		a := C.btf_array(t)
		r.Ref, r.Len = uint32(a._type), int(a.nelems)
	case KindEnum:
		r.Size, r.Signed = int(C.xm_btf_size(t)), bool(C.btf_kflag(t))
		for _, v := range unsafe.Slice(C.btf_enum(t), n) {
			r.Values = append(r.Values, EnumValue{Name: b.name(v.name_off), Value: int64(v.val)})
		}
	case KindEnum64:
		r.Size, r.Signed = int(C.xm_btf_size(t)), bool(C.btf_kflag(t))
		values := unsafe.Slice(C.btf_enum64(t), n)
		for i := range values {
			r.Values = append(r.Values, EnumValue{Name: b.name(values[i].name_off), Value: int64(C.btf_enum64_value(&values[i]))})
		}
	case KindStruct, KindUnion:
		r.Size = int(C.xm_btf_size(t))
		for i, m := range unsafe.Slice(C.btf_members(t), n) {
			r.Members = append(r.Members, Member{
				Name:      b.name(m.name_off),
				Type:      uint32(m._type),
				BitOffset: int(C.btf_member_bit_offset(t, C.__u32(i))),
				BitSize:   int(C.btf_member_bitfield_size(t, C.__u32(i))),
			})
		}
	case KindDatasec:
		r.Size = int(C.xm_btf_size(t))
		for _, v := range unsafe.Slice(C.btf_var_secinfos(t), n) {
			r.Members = append(r.Members, Member{Type: uint32(v._type), BitOffset: int(v.offset) * 8})
		}
	case KindFuncProto:
		r.Ref = uint32(C.xm_btf_ref(t))
		for _, p := range unsafe.Slice(C.btf_params(t), n) {
			r.Members = append(r.Members, Member{Name: b.name(p.name_off), Type: uint32(p._type)})
		}
	default:
		r.Ref = uint32(C.xm_btf_ref(t))
	}
	return r, nil
}

func (b *BTF) name(offset C.__u32) string {
	return C.GoString(C.btf__name_by_offset(b.ptr, offset))
}
