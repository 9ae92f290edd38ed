package desired

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher"
)

// encodeMaps makes the bytes of the initial contents, in the sizes of the maps.
func encodeMaps(p Program, shapes []dispatcher.ObjectMap) ([]dispatcher.MapEntry, error) {
	var all []dispatcher.MapEntry
	for _, name := range slices.Sorted(maps.Keys(p.Maps)) {
		i := slices.IndexFunc(shapes, func(s dispatcher.ObjectMap) bool { return s.Name == name })
		if i < 0 {
			err := invalid(p.where, "%s has no map %q", p.Object, name)
			var names []string
			for _, s := range shapes {
				names = append(names, s.Name)
			}
			err.Remedy = "its maps: " + strings.Join(names, ", ")
			return nil, err
		}
		for _, e := range p.Maps[name] {
			key, err := encode(e.Key, shapes[i].KeySize)
			if err != nil {
				return nil, invalid(p.where, "map %q: key %v %v", name, e.Key, err)
			}
			value, err := encode(e.Value, shapes[i].ValueSize)
			if err != nil {
				return nil, invalid(p.where, "map %q: value %v %v", name, e.Value, err)
			}
			all = append(all, dispatcher.MapEntry{Map: name, Key: key, Value: value})
		}
	}
	return all, nil
}

// encode makes the bytes of a key or a value.
func encode(v any, size int) ([]byte, error) {
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
	return nil, fmt.Errorf("has %s bytes, and the map wants %d", strings.Join(lengths, " or "), size)
}

// encodeNumber makes a number in the machine's byte order.
func encodeNumber(s string, size int) ([]byte, error) {
	if !slices.Contains([]int{1, 2, 4, 8}, size) {
		return nil, fmt.Errorf("is a number, and the map wants %d bytes", size)
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
