package value_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/value"
)

// The numbers are those of a little-endian machine, as in TestDecode.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		word string
		size int
		want string // in hexadecimal, or part of the error
	}{
		{"10", 4, "0a000000"},
		{"0", 1, "00"},
		{"-1", 2, "ffff"},
		{"0x1f", 2, "1f00"},
		{"18446744073709551615", 8, "ffffffffffffffff"},
		{"0x0102030405060708090a0b0c", 12, "0102030405060708090a0b0c"}, // as JSON has bytes
		{"192.0.2.1", 4, "c0000201"},
		{"2001:db8::1", 16, "20010db8000000000000000000000001"},
		{"192.0.2.0/24", 8, "18000000c0000200"},
		{"02:00:00:00:00:01", 6, "020000000001"},
		{"0a 00 ff", 3, "0a00ff"},
		{"0010", 2, "0010"},
		{"01020304", 4, "01020304"},
		{"300", 1, "doesn't fit into 1 bytes"},
		{"-1", 3, "is a number, and 3 bytes are wanted"},
		{"010", 4, "is neither"},
		{"1.5", 8, "is neither"},
		{"eth0", 4, "is neither"},
		{"", 4, "has 0 bytes, and 4 are wanted"},
		{"192.0.2.1", 8, "has 4 bytes, and 8 are wanted"},
	} {
		b, err := value.Parse(c.word, c.size)
		got := hex.EncodeToString(b)
		if err != nil {
			got = err.Error()
		}
		if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
			t.Errorf("%q in %d bytes: %s, want %s", c.word, c.size, got, c.want)
		}
	}
}
