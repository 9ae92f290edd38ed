package value_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/value"
)

// types stands in for a BTF; a type's id is its place.
type types []libbpf.Type

func (t types) Type(id uint32) (*libbpf.Type, error) {
	if int(id) >= len(t) {
		return nil, fmt.Errorf("no type %d", id)
	}
	r := t[id]
	r.ID = id
	return &r, nil
}

const (
	u8 = iota + 1
	u32
	s32
	u64
	char
	boolean
	double
	pointer
	color
	name4   // char[4]
	pair    // u32[2]
	pairs   // u32[2][2]
	inner   // struct { u8 a; u8 b; }
	outer   // struct { struct inner; u32 c : 3, d : 13; s32 e; }
	typedef // of const u64
	constant
	global // u64 variable
	bss    // datasec
	wide   // __int128
	loop   // typedef of itself
	broken // struct with a member outside of it
	function
	named  // struct { char name[4]; u64 n; }
	be32   // typedef of u32
	inAddr // struct in_addr { __be32 s_addr; }
	u8x16  // u8[16]
	inAddr6
	ends // struct { struct in_addr a; __be32 b; struct in6_addr c; }
	wideBE32
)

var known = types{
	{},
	u8:       {Kind: libbpf.KindInt, Name: "__u8", Size: 1},
	u32:      {Kind: libbpf.KindInt, Name: "__u32", Size: 4},
	s32:      {Kind: libbpf.KindInt, Name: "int", Size: 4, Signed: true},
	u64:      {Kind: libbpf.KindInt, Name: "__u64", Size: 8},
	char:     {Kind: libbpf.KindInt, Name: "char", Size: 1, Signed: true},
	boolean:  {Kind: libbpf.KindInt, Name: "_Bool", Size: 1, Bool: true},
	double:   {Kind: libbpf.KindFloat, Size: 8},
	pointer:  {Kind: libbpf.KindPtr, Ref: u8},
	color:    {Kind: libbpf.KindEnum, Size: 4, Values: []libbpf.EnumValue{{Name: "RED"}, {Name: "GREEN", Value: -1}}},
	name4:    {Kind: libbpf.KindArray, Ref: char, Len: 4},
	pair:     {Kind: libbpf.KindArray, Ref: u32, Len: 2},
	pairs:    {Kind: libbpf.KindArray, Ref: pair, Len: 2},
	inner:    {Kind: libbpf.KindStruct, Size: 2, Members: []libbpf.Member{{Name: "a", Type: u8}, {Name: "b", Type: u8, BitOffset: 8}}},
	outer:    {Kind: libbpf.KindStruct, Size: 12, Members: []libbpf.Member{{Type: inner}, {Name: "c", Type: u32, BitOffset: 32, BitSize: 3}, {Name: "d", Type: u32, BitOffset: 35, BitSize: 13}, {Name: "e", Type: s32, BitOffset: 64}}},
	typedef:  {Kind: libbpf.KindTypedef, Ref: constant},
	constant: {Kind: libbpf.KindConst, Ref: u64},
	global:   {Kind: libbpf.KindVar, Name: "hits", Ref: u64},
	bss:      {Kind: libbpf.KindDatasec, Name: ".bss", Size: 8, Members: []libbpf.Member{{Type: global}}},
	wide:     {Kind: libbpf.KindInt, Size: 16},
	loop:     {Kind: libbpf.KindTypedef, Ref: loop},
	broken:   {Kind: libbpf.KindStruct, Size: 4, Members: []libbpf.Member{{Name: "far", Type: u64}}},
	function: {Kind: libbpf.KindFunc, Name: "f"},
	named:    {Kind: libbpf.KindStruct, Size: 16, Members: []libbpf.Member{{Name: "name", Type: name4}, {Name: "n", Type: u64, BitOffset: 64}}},
	be32:     {Kind: libbpf.KindTypedef, Name: "__be32", Ref: u32},
	inAddr:   {Kind: libbpf.KindStruct, Name: "in_addr", Size: 4, Members: []libbpf.Member{{Name: "s_addr", Type: be32}}},
	u8x16:    {Kind: libbpf.KindArray, Ref: u8, Len: 16},
	inAddr6:  {Kind: libbpf.KindStruct, Name: "in6_addr", Size: 16, Members: []libbpf.Member{{Name: "in6_u", Type: u8x16}}},
	ends:     {Kind: libbpf.KindStruct, Size: 24, Members: []libbpf.Member{{Name: "a", Type: inAddr}, {Name: "b", Type: be32, BitOffset: 32}, {Name: "c", Type: inAddr6, BitOffset: 64}}},
	wideBE32: {Kind: libbpf.KindTypedef, Name: "__be32", Ref: u64},
}

// The bytes are those of a little-endian machine, as every one that runs the tests.
func TestDecode(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Fatal("the test is for little-endian machines")
	}
	for _, c := range []struct {
		name string
		id   uint32
		in   []byte
		text string
		json string
	}{
		{"unsigned", u32, []byte{1, 2, 0, 0}, "513", "513"},
		{"the largest", u64, []byte{255, 255, 255, 255, 255, 255, 255, 255}, "18446744073709551615", "18446744073709551615"},
		{"negative", s32, []byte{254, 255, 255, 255}, "-2", "-2"},
		{"bool", boolean, []byte{1}, "true", "true"},
		{"float", double, []byte{0, 0, 0, 0, 0, 0, 0xf8, 0x3f}, "1.5", "1.5"},
		{"NaN", double, []byte{1, 0, 0, 0, 0, 0, 0xf0, 0x7f}, "NaN", `"NaN"`},
		{"pointer", pointer, []byte{16, 0, 0, 0, 0, 0, 0, 0}, "0x10", `"0x10"`},
		{"enum", color, []byte{0, 0, 0, 0}, "RED", `"RED"`},
		{"negative enum", color, []byte{255, 255, 255, 255}, "GREEN", `"GREEN"`},
		{"enum without a name", color, []byte{7, 0, 0, 0}, "7", "7"},
		{"string", name4, []byte("eth\x00"), `"eth"`, `"eth"`},
		{"string without an end", name4, []byte("eth0"), `"eth0"`, `"eth0"`},
		{"no string", name4, []byte{1, 2, 3, 4}, "01 02 03 04", `"0x01020304"`},
		{"something behind the string", name4, []byte("a\x00b\x00"), "61 00 62 00", `"0x61006200"`},
		{"nested arrays", pairs, []byte{1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0}, "[[1, 2], [3, 4]]", "[[1,2],[3,4]]"},
		{"struct", outer, []byte{1, 2, 0, 0, 0x0d, 0x01, 0, 0, 255, 255, 255, 255}, "{a: 1, b: 2, c: 5, d: 33, e: -1}", `{"a":1,"b":2,"c":5,"d":33,"e":-1}`},
		{"typedef and const", typedef, []byte{9, 0, 0, 0, 0, 0, 0, 0}, "9", "9"},
		{"variables", bss, []byte{3, 0, 0, 0, 0, 0, 0, 0}, "{hits: 3}", `{"hits":3}`},
		{"128 bits", wide, make([]byte, 16), "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00", `"0x00000000000000000000000000000000"`},
		{"IPv4 address", be32, []byte{192, 0, 2, 1}, "192.0.2.1", `"192.0.2.1"`},
		{"addresses", ends, []byte{192, 0, 2, 1, 10, 0, 0, 255, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9},
			"{a: 192.0.2.1, b: 10.0.0.255, c: 2001:db8::9}", `{"a":"192.0.2.1","b":"10.0.0.255","c":"2001:db8::9"}`},
		{"no address", wideBE32, []byte{1, 0, 0, 0, 0, 0, 0, 0}, "1", "1"},
		{"too few bytes", u64, []byte{1, 2}, "01 02", `"0x0102"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := value.FromBTF(known, c.id)
			if err != nil {
				t.Fatal(err)
			}
			v := l.Decode(c.in)
			if got := v.String(); got != c.text {
				t.Errorf("text %s, want %s", got, c.text)
			}
			if got, err := json.Marshal(v); err != nil || string(got) != c.json {
				t.Errorf("JSON %s (%v), want %s", got, err, c.json)
			}
		})
	}
}

func TestFromBTFRefuses(t *testing.T) {
	for name, id := range map[string]uint32{"void": 0, "an unknown id": 1000, "a loop": loop, "a member outside": broken, "a function": function} {
		if l, err := value.FromBTF(known, id); err == nil {
			t.Errorf("%s: no error, layout %+v", name, l)
		}
	}
}

func TestNumeric(t *testing.T) {
	for id, want := range map[uint32]bool{u32: true, s32: true, typedef: true, boolean: false, color: false, pointer: false, be32: false, inAddr: false, pair: false, inner: false, wide: false} {
		l, err := value.FromBTF(known, id)
		if err != nil || l.Numeric() != want {
			t.Errorf("type %d: numeric %v, want %v (%v)", id, l.Numeric(), want, err)
		}
	}
}

func decode(t *testing.T, id uint32, in ...byte) value.Value {
	t.Helper()
	l, err := value.FromBTF(known, id)
	if err != nil {
		t.Fatal(err)
	}
	return l.Decode(in)
}

func TestSumAndPerSecond(t *testing.T) {
	ff := []byte{255, 255, 255, 255, 255, 255, 255, 255}
	named1 := []byte{'a', 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0}
	named2 := []byte{1, 2, 0, 0, 0, 0, 0, 0, 30, 0, 0, 0, 0, 0, 0, 0}
	for _, c := range []struct {
		name   string
		id     uint32
		values [][]byte
		sum    string
		rate   string // from the first to the last, in two seconds
	}{
		{"numbers", u32, [][]byte{{1, 0, 0, 0}, {2, 0, 0, 0}, {5, 0, 0, 0}}, "8", "+2/s"},
		{"one number", u32, [][]byte{{7, 0, 0, 0}}, "7", "+0/s"},
		{"wrapped", u64, [][]byte{ff, {3, 0, 0, 0, 0, 0, 0, 0}}, "2", "+2/s"},
		{"falling", s32, [][]byte{{0, 0, 0, 0}, {254, 255, 255, 255}}, "-2", "-1/s"},
		{"structs, without what is no number", named, [][]byte{named1, named2}, "{n: 40}", "{n: +10/s}"},
		{"one struct, without what is no number", named, [][]byte{named1}, "{n: 10}", "{n: +0/s}"},
		{"arrays", pair, [][]byte{{1, 0, 0, 0, 2, 0, 0, 0}, {3, 0, 0, 0, 4, 0, 0, 0}}, "[4, 6]", "[+1/s, +1/s]"},
		{"addresses", be32, [][]byte{{1, 0, 0, 0}, {2, 0, 0, 0}}, "<nil>", "<nil>"},
		{"no numbers", color, [][]byte{{0, 0, 0, 0}, {0, 0, 0, 0}}, "<nil>", "<nil>"},
		{"none", u32, nil, "<nil>", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var values []value.Value
			for _, b := range c.values {
				values = append(values, decode(t, c.id, b...))
			}
			if got := fmt.Sprint(value.Sum(values)); got != c.sum {
				t.Errorf("sum %s, want %s", got, c.sum)
			}
			if len(values) == 0 {
				return
			}
			if got := fmt.Sprint(value.PerSecond(values[0], values[len(values)-1], 2)); got != c.rate {
				t.Errorf("rate %s, want %s", got, c.rate)
			}
		})
	}
}
