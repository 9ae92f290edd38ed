package value_test

import (
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/value"
)

// TestNothingNested goes through types that are huge when they are written out, though
// they have few bytes or none: they are refused, or read at once.
func TestNothingNested(t *testing.T) {
	nested := types{{}, {Kind: libbpf.KindStruct, Name: "s0"}}
	for i := uint32(1); i <= 30; i++ {
		nested = append(nested, libbpf.Type{Kind: libbpf.KindStruct, Members: []libbpf.Member{{Name: "a", Type: i}, {Name: "b", Type: i}}})
	}
	if _, err := value.FromBTF(nested, 31); err == nil {
		t.Error("a struct of a billion structs is read")
	}
	l, err := value.FromBTF(nested, 8)
	if err != nil {
		t.Fatal(err)
	}
	l.Decode(nil)

	arrays := types{{}, {Kind: libbpf.KindStruct}, {Kind: libbpf.KindArray, Ref: 1, Len: 1<<32 - 1}, {Kind: libbpf.KindInt, Size: 4}}
	for i := uint32(3); i < 8; i++ {
		arrays = append(arrays, libbpf.Type{Kind: libbpf.KindArray, Ref: i, Len: 1 << 31})
	}
	for id := range arrays {
		if l, err := value.FromBTF(arrays, uint32(id)); err == nil {
			l.Decode(make([]byte, 8))
		}
	}
}

// TestOddSizes has numbers of sizes that none has stay bytes.
func TestOddSizes(t *testing.T) {
	for _, kind := range []libbpf.Kind{libbpf.KindInt, libbpf.KindEnum, libbpf.KindEnum64, libbpf.KindFloat} {
		for size := range 20 {
			l, err := value.FromBTF(types{{}, {Kind: kind, Size: size}}, 1)
			if err != nil {
				t.Fatal(err)
			}
			l.Decode(make([]byte, 20))
		}
	}
}
