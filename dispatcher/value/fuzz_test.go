package value_test

import (
	"encoding/binary"
	"encoding/json"
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/value"
)

// fuzzedTypes makes types of any bytes, eight each, that may refer to one another and to
// what isn't there.
func fuzzedTypes(data []byte) types {
	all := types{{}}
	for ; len(data) >= 8; data = data[8:] {
		flags, small := data[7], binary.LittleEndian.Uint16(data[5:])
		t := libbpf.Type{Kind: libbpf.Kind(data[0] % 21), Name: "n", Size: int(data[1]), Ref: uint32(data[2]), Len: int(small),
			Signed: flags&1 != 0, Char: flags&2 != 0, Bool: flags&4 != 0, Bits: int(data[3])}
		if flags&8 != 0 {
			t.Name, t.Size, t.Len = "__be32", t.Size<<23, t.Len<<16|0xffff
		}
		for i := byte(0); i < data[4]%5; i++ {
			t.Members = append(t.Members, libbpf.Member{Name: string('a' + rune(i)), Type: uint32(data[2] + i),
				BitOffset: int(small) * int(i) / 4, BitSize: int(flags >> 4)})
			t.Values = append(t.Values, libbpf.EnumValue{Name: string('A' + rune(i)), Value: int64(small) * int64(i)})
		}
		all = append(all, t)
	}
	return all
}

// FuzzFromBTF reads values by types that anybody may have loaded: what is read can be
// printed, as text and as JSON, added up and subtracted.
func FuzzFromBTF(f *testing.F) {
	f.Add([]byte("\x01\x04\x00\x20\x00\x00\x00\x00"), []byte{1, 2, 3, 4})
	f.Add([]byte("\x01\x01\x00\x08\x00\x00\x00\x02\x03\x00\x01\x00\x00\x04\x00\x00"), []byte("eth0"))
	f.Add([]byte("\x01\x04\x00\x20\x00\x00\x00\x00\x04\x08\x01\x00\x02\x80\x00\x00"), []byte{1, 2, 3, 4, 5, 6, 7, 8})
	f.Add([]byte("\x06\x04\x00\x00\x03\x02\x00\x01\x08\x00\x01\x00\x00\x00\x00\x00\x03\x00\x02\x00\x00\x02\x00\x00"), []byte{0, 0, 0, 0, 1, 0, 0, 0})
	f.Add([]byte("\x04\x00\x01\x00\x00\x00\x00\x00\x03\x00\x01\x00\x00\xff\xff\x08"), []byte{})
	f.Fuzz(func(t *testing.T, described, data []byte) {
		if len(described) > 400 {
			return
		}
		all := fuzzedTypes(described)
		for id := range all {
			l, err := value.FromBTF(all, uint32(id))
			if err != nil {
				continue
			}
			v := l.Decode(data)
			_ = v.String()
			for _, v := range []value.Value{v, value.Sum([]value.Value{v, v}), value.PerSecond(v, v, 1)} {
				if v == nil {
					continue
				}
				if text, err := json.Marshal(v); err != nil || !json.Valid(text) {
					t.Errorf("type %d, % x: %s, %v", id, data, text, err)
				}
			}
		}
	})
}

// FuzzParse reads keys and values as people write them: it gives bytes of the size that
// the map wants, or an error.
func FuzzParse(f *testing.F) {
	for _, word := range []string{"7", "-1", "0x1f", "192.0.2.7", "10.0.0.0/8", "2001:db8::1", "02:00:00:00:00:01", "0a 00", "010"} {
		f.Add(word, uint8(4))
	}
	f.Fuzz(func(t *testing.T, word string, size uint8) {
		if b, err := value.Parse(word, int(size)); err == nil && len(b) != int(size) {
			t.Errorf("%q: % x, and the map wants %d bytes", word, b, size)
		}
	})
}
