package object

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

// Numbers are in the byte order of the machine, addresses in that of the wire.
func TestEncodeVariable(t *testing.T) {
	type flags struct {
		On   bool
		_    [3]byte
		Rate uint32
	}
	u32 := func(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
	for _, c := range []struct {
		value any
		want  []byte
		err   string
	}{
		{value: 1500, want: u32(1500)},
		{value: uint64(1<<32 - 1), want: u32(1<<32 - 1)},
		{value: int8(-1), want: u32(1<<32 - 1)},
		{value: time.Microsecond, want: u32(1000)},
		{value: 1 << 32, want: u32(0), err: "is 4294967296, which doesn't fit"},
		{value: -1<<31 - 1, want: u32(0), err: "is -2147483649, which doesn't fit"},
		{value: 7, want: make([]byte, 3), err: "is 7, which doesn't fit"},
		{value: true, want: []byte{1}},
		{value: true, want: u32(0), err: "has 1"},
		{value: flags{On: true, Rate: 9}, want: append([]byte{1, 0, 0, 0}, u32(9)...)},
		{value: [2]uint16{1, 1}, want: u32(1<<16 + 1)},
		{value: "eth0", want: []byte("eth0\x00\x00\x00\x00")},
		{value: "eth0", want: u32(0), err: "has 4 and the zero behind them"},
		{value: []byte{1, 2, 3}, want: []byte{1, 2, 3}},
		{value: netip.MustParseAddr("192.0.2.1"), want: []byte{192, 0, 2, 1}},
		{value: netip.MustParseAddr("2001:db8::1"), want: u32(0), err: "has 16"},
		{value: nil, want: u32(0), err: "is missing"},
		{value: map[string]int{}, want: u32(0), err: "is a map[string]int, which has no fixed size"},
	} {
		got, err := EncodeVariable(c.value, len(c.want))
		if err != nil || c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%v: error %v, want %q", c.value, err, c.err)
			}
			continue
		}
		if !bytes.Equal(got, c.want) {
			t.Errorf("%v: % x, want % x", c.value, got, c.want)
		}
	}
}
