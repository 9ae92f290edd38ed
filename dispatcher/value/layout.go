// Package value reads the keys and values of BPF maps as their types tell: from
// bytes to numbers, structs and arrays, and from those to text and JSON. It knows
// no map and makes no system call.
package value

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"strings"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// Types is where types are looked up; a [libbpf.BTF] is one.
type Types interface {
	Type(id uint32) (*libbpf.Type, error)
}

// Layout says how to read the bytes of a key or a value.
type Layout struct {
	form   form
	size   int // bytes
	nodes  int // this and all below it
	fields []field
	elem   *Layout          // of an array
	len    int              // of an array
	names  map[int64]string // of an enum
}

// form is what bytes stand for.
type form int

const (
	formBytes form = iota // nothing that is known
	formUint
	formInt
	formBool
	formFloat
	formPointer
	formEnum
	formStruct
	formArray
	formText    // an array of char
	formAddress // of IPv4 or IPv6
)

// field is a member of a struct.
type field struct {
	name   string // empty: anonymous
	offset int    // in bits
	bits   int    // of a bit field; 0: it is none
	layout *Layout
}

// Bytes is the layout of something without a known type.
func Bytes(size int) *Layout { return &Layout{form: formBytes, size: size} }

// Uint is the layout of an unsigned number of 1, 2, 4 or 8 bytes.
func Uint(size int) *Layout { return &Layout{form: formUint, size: size} }

// Numeric says whether the layout is that of one number.
func (l *Layout) Numeric() bool { return l.form == formUint || l.form == formInt }

// Size is in bytes. It is 0 if the layout isn't known.
func (l *Layout) Size() int {
	if l == nil {
		return 0
	}
	return l.size
}

// FromBTF makes the layout of a type. It fails if the type is none of values, such as a function's,
// or if it contradicts itself.
func FromBTF(types Types, id uint32) (*Layout, error) {
	b := builder{types, map[uint32]*Layout{}}
	return b.layout(id, 0)
}

// Limits of what a type may be made of.
const (
	maxDepth = 64      // of nesting; the kernel takes 32
	maxNodes = 1 << 18 // numbers, structs and arrays in it, those of an array's first element only
	maxSize  = 1 << 30 // bytes
)

// builder makes a layout of each type once.
type builder struct {
	types Types
	done  map[uint32]*Layout
}

func (b builder) layout(id uint32, depth int) (*Layout, error) {
	if l := b.done[id]; l != nil {
		return l, nil
	}
	t, err := b.types.Type(id)
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("type %d is nested too deeply", id)
	}
	l, err := b.make(t, depth)
	if err != nil {
		return nil, err
	}
	l.countNodes()
	if l.nodes > maxNodes || l.size > maxSize {
		return nil, fmt.Errorf("type %d (%s) is too large: %d bytes", id, t.Name, l.size)
	}
	b.done[id] = l
	return l, nil
}

func (b builder) make(t *libbpf.Type, depth int) (*Layout, error) {
	switch t.Kind {
	case libbpf.KindTypedef, libbpf.KindVolatile, libbpf.KindConst, libbpf.KindRestrict, libbpf.KindTypeTag, libbpf.KindVar:
		l, err := b.layout(t.Ref, depth+1)
		if err == nil && t.Kind == libbpf.KindTypedef && t.Name == "__be32" && l.size == 4 {
			return address(4), nil
		}
		return l, err
	case libbpf.KindInt:
		return number(t), nil
	case libbpf.KindFloat:
		if t.Size != 4 && t.Size != 8 {
			return Bytes(t.Size), nil
		}
		return &Layout{form: formFloat, size: t.Size}, nil
	case libbpf.KindPtr:
		return &Layout{form: formPointer, size: 8}, nil
	case libbpf.KindEnum, libbpf.KindEnum64:
		return enum(t), nil
	case libbpf.KindArray:
		return b.array(t, depth)
	case libbpf.KindStruct, libbpf.KindUnion, libbpf.KindDatasec:
		if t.Name == "in_addr" && t.Size == 4 || t.Name == "in6_addr" && t.Size == 16 {
			return address(t.Size), nil
		}
		return b.structure(t, depth)
	}
	return nil, fmt.Errorf("type %d (%s) is not that of a value", t.ID, t.Name)
}

func (b builder) array(t *libbpf.Type, depth int) (*Layout, error) {
	elem, err := b.layout(t.Ref, depth+1)
	if err != nil {
		return nil, err
	}
	if elem.size == 0 {
		return Bytes(0), nil // however many there are
	}
	if t.Len > maxSize/elem.size {
		return nil, fmt.Errorf("type %d (%s) is too large: %d elements of %d bytes", t.ID, t.Name, t.Len, elem.size)
	}
	l := &Layout{form: formArray, elem: elem, len: t.Len, size: t.Len * elem.size}
	if isChar(b.types, t.Ref) {
		l.form = formText
	}
	return l, nil
}

// countNodes counts what a walk through the layout meets.
func (l *Layout) countNodes() {
	l.nodes = 1
	for _, f := range l.fields {
		l.nodes += f.layout.nodes
	}
	if l.elem != nil {
		l.nodes += l.elem.nodes
	}
}

func number(t *libbpf.Type) *Layout {
	switch {
	case !isWord(t.Size):
		return Bytes(t.Size) // __int128
	case t.Bool:
		return &Layout{form: formBool, size: t.Size}
	case t.Signed:
		return &Layout{form: formInt, size: t.Size}
	}
	return Uint(t.Size)
}

// address is the layout of an IP address, whose bytes are in the order of the wire.
func address(size int) *Layout { return &Layout{form: formAddress, size: size} }

// isWord says whether a number can have that many bytes.
func isWord(size int) bool { return size == 1 || size == 2 || size == 4 || size == 8 }

func enum(t *libbpf.Type) *Layout {
	if !isWord(t.Size) {
		return Bytes(t.Size)
	}
	l := &Layout{form: formEnum, size: t.Size, names: map[int64]string{}}
	for _, v := range t.Values {
		n := v.Value
		if t.Size == 4 {
			n = int64(int32(n)) // as Decode reads it, whatever its sign
		}
		if _, taken := l.names[n]; !taken {
			l.names[n] = v.Name
		}
	}
	return l
}

// isChar says whether the type is C's char, which clang marks by its name alone.
func isChar(types Types, id uint32) bool {
	for range maxDepth {
		t, err := types.Type(id)
		if err != nil {
			return false
		}
		switch t.Kind {
		case libbpf.KindTypedef, libbpf.KindVolatile, libbpf.KindConst:
			id = t.Ref
		default:
			return t.Kind == libbpf.KindInt && t.Size == 1 && (t.Char || t.Name == "char")
		}
	}
	return false
}

func (b builder) structure(t *libbpf.Type, depth int) (*Layout, error) {
	l := &Layout{form: formStruct, size: t.Size}
	for _, m := range t.Members {
		f := field{name: m.Name, offset: m.BitOffset, bits: m.BitSize}
		var err error
		if f.layout, err = b.layout(m.Type, depth+1); err != nil {
			return nil, err
		}
		if t.Kind == libbpf.KindDatasec {
			if v, err := b.types.Type(m.Type); err == nil {
				f.name = v.Name
			}
		}
		bits := f.bits
		if bits == 0 {
			bits = f.layout.size * 8
		}
		if bits > 64 && f.bits > 0 || f.offset+bits > l.size*8 {
			return nil, fmt.Errorf("member %q lies outside of type %d (%s)", f.name, t.ID, t.Name)
		}
		l.fields = append(l.fields, f)
	}
	return l, nil
}

// Difference is the path of the first member in which another layout differs from this one, such as
// "flow.port". It is empty if they differ as a whole. Names of an enum's values don't count, because
// a map stores the number.
func (l *Layout) Difference(other *Layout) (member string, differ bool) {
	for i := range max(len(l.fields), len(other.fields)) {
		if i >= len(other.fields) {
			return l.fields[i].name, true
		}
		theirs := other.fields[i]
		if i >= len(l.fields) {
			return theirs.name, true
		}
		ours := l.fields[i]
		if ours.name != theirs.name || ours.offset != theirs.offset || ours.bits != theirs.bits {
			return ours.name, true
		}
		if inner, differ := ours.layout.Difference(theirs.layout); differ {
			return strings.Trim(ours.name+"."+inner, "."), true
		}
	}
	if l.elem != nil && other.elem != nil {
		if inner, differ := l.elem.Difference(other.elem); differ {
			return inner, true
		}
	}
	return "", l.form != other.form || l.size != other.size || l.len != other.len
}

// Decode reads a value. Bytes that are too few for the layout stay bytes.
func (l *Layout) Decode(b []byte) Value {
	if len(b) < l.size {
		return Raw(append([]byte(nil), b...))
	}
	b = b[:l.size]
	switch l.form {
	case formStruct:
		return l.decodeStruct(b)
	case formArray:
		a := make(Array, l.len)
		for i := range a {
			a[i] = l.elem.Decode(b[i*l.elem.size:])
		}
		return a
	case formText:
		return text(b)
	case formAddress:
		addr, _ := netip.AddrFromSlice(b)
		return Address(addr)
	case formFloat:
		if l.size == 4 {
			return Float(math.Float32frombits(binary.NativeEndian.Uint32(b)))
		}
		return Float(math.Float64frombits(binary.NativeEndian.Uint64(b)))
	case formBytes:
		return Raw(append([]byte(nil), b...))
	}
	return l.scalar(load(b), l.size*8)
}

// scalar makes a value of a number of so many bits.
func (l *Layout) scalar(n uint64, bits int) Value {
	signed := int64(n<<(64-bits)) >> (64 - bits)
	switch l.form {
	case formInt:
		return Int(signed)
	case formBool:
		return Bool(n != 0)
	case formPointer:
		return Pointer(n)
	case formEnum:
		name, ok := l.names[signed]
		if !ok {
			name = l.names[int64(n)]
		}
		return Enum{name, signed}
	}
	return Uint64(n)
}

func (l *Layout) decodeStruct(b []byte) Value {
	s := Struct{}
	for _, f := range l.fields {
		var v Value
		if f.bits > 0 {
			v = f.layout.scalar(loadBits(b, f.offset, f.bits), f.bits)
		} else {
			v = f.layout.Decode(b[f.offset/8:])
		}
		if inner, ok := v.(Struct); ok && f.name == "" {
			s = append(s, inner...) // C names its members like the outer struct's
			continue
		}
		s = append(s, Field{f.name, v})
	}
	return s
}

func load(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.NativeEndian.Uint16(b))
	case 4:
		return uint64(binary.NativeEndian.Uint32(b))
	}
	return binary.NativeEndian.Uint64(b)
}

var bigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

// loadBits reads a bit field. BTF counts its offset from the first byte's lowest
// bit, and on a big-endian machine from its highest.
func loadBits(b []byte, offset, bits int) uint64 {
	var n uint64
	for i := range bits {
		at := offset + i
		if bigEndian {
			n = n<<1 | uint64(b[at/8]>>(7-at%8)&1)
		} else {
			n |= uint64(b[at/8]>>(at%8)&1) << i
		}
	}
	return n
}

// text is an array of char. It becomes a string if it reads as one up to its first zero, and only
// zeros follow.
func text(b []byte) Value {
	end := len(b)
	for i, c := range b {
		if c == 0 {
			end = i
			break
		}
	}
	for i, c := range b {
		if i < end && (c < ' ' || c > '~') || i > end && c != 0 {
			return Raw(append([]byte(nil), b...))
		}
	}
	return Text(b[:end])
}
