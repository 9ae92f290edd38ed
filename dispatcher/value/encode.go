package value

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// whole is a number as people write one. With a zero in front it is none: 0102 is octal in C,
// decimal to others, and two bytes in hexadecimal.
var whole = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(-?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+)$`)
})

// Parse makes the bytes of a key or a value out of one word. The word is a number if it is nothing
// but digits, or begins with 0x. Any other word is treated as by [Encode].
func Parse(word string, size int) ([]byte, error) {
	if !whole().MatchString(word) {
		return Encode(word, size)
	}
	if digits, ok := strings.CutPrefix(word, "0x"); ok {
		n, err := strconv.ParseUint(digits, 16, 64)
		if err != nil {
			return Encode(digits, size) // more than a number holds
		}
		return Encode(n, size)
	}
	return Encode(json.Number(word), size)
}

// Encode makes a key or a value of that many bytes. It takes a whole number, also as a
// [json.Number], or a string: an IP address or prefix, a MAC address, or bytes in hexadecimal. The
// text of an error continues a sentence: "has 4 bytes, and 8 are wanted".
func Encode(v any, size int) ([]byte, error) {
	var all [][]byte // what v can stand for
	switch v := v.(type) {
	case json.Number, int, int32, int64, uint, uint32, uint64:
		return encodeNumber(fmt.Sprint(v), size)
	case string:
		if addr, err := netip.ParseAddr(v); err == nil {
			all = append(all, addr.AsSlice())
		}
		if prefix, err := netip.ParsePrefix(v); err == nil {
			// struct bpf_lpm_trie_key: the length in the machine's byte order.
			all = append(all, append(binary.NativeEndian.AppendUint32(nil, uint32(prefix.Bits())), prefix.Addr().AsSlice()...))
		}
		if mac, err := net.ParseMAC(v); err == nil {
			all = append(all, mac)
		}
		if b, err := hex.DecodeString(strings.ReplaceAll(v, " ", "")); err == nil {
			all = append(all, b)
		}
	}
	var lengths []string
	for _, b := range all {
		if len(b) == size {
			return b, nil
		}
		lengths = append(lengths, strconv.Itoa(len(b)))
	}
	if len(all) == 0 {
		return nil, fmt.Errorf(`is neither a number nor an address, a prefix, a MAC address or bytes such as "0a 00 ff"`)
	}
	return nil, fmt.Errorf("has %s bytes, and %d are wanted", strings.Join(lengths, " or "), size)
}

// encodeNumber makes a number in the machine's byte order.
func encodeNumber(s string, size int) ([]byte, error) {
	if !slices.Contains([]int{1, 2, 4, 8}, size) {
		return nil, fmt.Errorf("is a number, and %d bytes are wanted", size)
	}
	n, err := strconv.ParseUint(s, 10, 8*size)
	if err != nil {
		var signed int64
		signed, err = strconv.ParseInt(s, 10, 8*size)
		n = uint64(signed)
	}
	if err != nil {
		return nil, fmt.Errorf("doesn't fit into %d bytes", size)
	}
	b := make([]byte, size)
	switch size {
	case 1:
		b[0] = byte(n)
	case 2:
		binary.NativeEndian.PutUint16(b, uint16(n))
	case 4:
		binary.NativeEndian.PutUint32(b, uint32(n))
	case 8:
		binary.NativeEndian.PutUint64(b, n)
	}
	return b, nil
}
