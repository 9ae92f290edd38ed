package maps

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/value"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// These functions take keys and values as words, as [value.Parse] does, and as a state file has
// them.

// LookupText reads the entry of a key. Errors: [xdp.ErrNoEntry], [xdp.ErrInvalid]. It stands for
// bpf_map_lookup_elem.
func (m *Map) LookupText(key string) (Entry, error) {
	k, err := m.parseKey(key)
	if err != nil {
		return Entry{}, err
	}
	raw := make([]byte, m.valueBytes())
	if err := libbpf.MapLookup(m.fd.Int(), k, raw); err != nil {
		return Entry{}, m.explainEntry(key, err)
	}
	return m.decoder()(k, raw), nil
}

// UpdateText sets the value of a key; in a per-CPU map it sets that of every CPU. The value of a
// device map can be an interface's name; that of a map of maps is an id. Errors: [xdp.ErrInvalid],
// also for a program array; [xdp.ErrNoInterface]; [xdp.ErrNoMap]. It stands for
// bpf_map_update_elem.
func (m *Map) UpdateText(key, word string) error {
	k, err := m.parseKey(key)
	if err != nil {
		return err
	}
	one, err := m.parseValue(word)
	if err != nil {
		return err
	}
	defer one.fd.Close()
	raw := make([]byte, m.valueBytes())
	for i := range m.cpus {
		copy(raw[len(raw)/m.cpus*i:], one.bytes)
	}
	if err := libbpf.MapUpdate(m.fd.Int(), k, raw, libbpf.UpdateAny); err != nil {
		return m.explainEntry(key, err)
	}
	return nil
}

// DeleteText removes the entry of a key. Errors: [xdp.ErrNoEntry], [xdp.ErrInvalid]. It stands
// for bpf_map_delete_elem.
func (m *Map) DeleteText(key string) error {
	k, err := m.parseKey(key)
	if err != nil {
		return err
	}
	if m.Type == "array" || m.Type == "percpu_array" {
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("map %s is a %s, whose entries are there for ever", m.Name, m.Type), Remedy: "set it to another value, such as 0"}
	}
	if m.Type == "devmap" || m.Type == "cpumap" { // of which the kernel takes nothing away without a word
		if _, err := m.LookupText(key); err != nil {
			return err
		}
	}
	if err := libbpf.MapDelete(m.fd.Int(), k); err != nil {
		return m.explainEntry(key, err)
	}
	return nil
}

func (m *Map) parseKey(word string) ([]byte, error) {
	if err := m.Readable(); err != nil {
		// Sockets can be taken out of a map that nobody can read, but not found in it.
		return nil, err
	}
	key, err := value.Parse(word, m.KeySize)
	if err != nil {
		return nil, &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("map %s: key %s %v", m.Name, quoteWord(word), err)}
	}
	return key, nil
}

// quoteWord shows where a word begins and ends, if that isn't plain.
func quoteWord(word string) string {
	if word == "" || strings.Contains(word, " ") {
		return fmt.Sprintf("%q", word)
	}
	return word
}

// parsedValue is what is written, with the descriptor that it names, if any.
type parsedValue struct {
	bytes []byte
	fd    *libbpf.FD
}

func (m *Map) parseValue(word string) (v parsedValue, err error) {
	size := m.ValueSize
	switch m.Type {
	case "devmap", "devmap_hash":
		if l, err := device.ByName(word); err == nil && !isNumber(word) {
			v.bytes = binary.NativeEndian.AppendUint32(nil, uint32(l.Index))
			break
		}
		size = 4
	case "cpumap", "array_of_maps", "hash_of_maps":
		size = 4
	case "prog_array":
		return v, &xdp.Error{Kind: xdp.ErrInvalid,
			Msg:    fmt.Sprintf("map %s is a prog_array, which the kernel empties when no process and no pin holds it any more", m.Name),
			Remedy: fmt.Sprintf("bpftool map pin id %d PATH, and then bpftool map update", m.ID)}
	case "sockmap", "sockhash", "reuseport_sockarray":
		return v, &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("map %s is a %s: only the process that has a socket can put it there", m.Name, m.Type)}
	}
	if v.bytes == nil {
		if v.bytes, err = value.Parse(word, size); err != nil {
			return v, &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("map %s: value %s %v", m.Name, quoteWord(word), err)}
		}
	}
	if m.Type != "array_of_maps" && m.Type != "hash_of_maps" {
		v.bytes = append(v.bytes, make([]byte, max(m.ValueSize-len(v.bytes), 0))...) // no program for the device or CPU
		return v, nil
	}
	v.fd, err = loaded.OpenMap(binary.NativeEndian.Uint32(v.bytes))
	if errors.Is(err, syscall.ENOENT) {
		return v, &xdp.Error{Kind: xdp.ErrNoMap, Msg: fmt.Sprintf("no map with id %s", word), Err: err}
	}
	if err != nil {
		return v, privilege.Explain(err)
	}
	v.bytes = binary.NativeEndian.AppendUint32(nil, uint32(v.fd.Int()))
	return v, nil
}

// isNumber says whether a word is all digits, which an interface's name can be too.
func isNumber(word string) bool {
	return word != "" && !strings.ContainsFunc(word, func(r rune) bool { return r < '0' || r > '9' })
}

// explainEntry says why the kernel didn't read or change the entry of a key.
func (m *Map) explainEntry(key string, err error) error {
	e := &xdp.Error{Kind: xdp.ErrInvalid, Err: err}
	switch {
	case errors.Is(err, syscall.ENOENT):
		e.Kind, e.Msg = xdp.ErrNoEntry, fmt.Sprintf("map %s has no entry %s", m.Name, key)
	case errors.Is(err, syscall.E2BIG) && m.indexed():
		e.Msg = fmt.Sprintf("map %s has entries 0 to %d, and %s is none of them", m.Name, m.MaxEntries-1, key)
	case errors.Is(err, syscall.E2BIG), errors.Is(err, syscall.ENOSPC):
		e.Msg = fmt.Sprintf("map %s is full: it has room for %d entries", m.Name, m.MaxEntries)
	case errors.Is(err, syscall.EPERM):
		if len(privilege.Missing()) > 0 {
			return privilege.Explain(err)
		}
		e.Msg = fmt.Sprintf("map %s can't be changed: it holds constants, or was made read-only", m.Name)
	case errors.Is(err, syscall.EINVAL) && (m.Type == "devmap" || m.Type == "devmap_hash"):
		e.Kind, e.Msg = xdp.ErrNoInterface, fmt.Sprintf("map %s: no interface of that index in this network namespace", m.Name)
	case errors.Is(err, syscall.ENODEV) && m.Type == "cpumap":
		e.Msg = fmt.Sprintf("map %s: there is no CPU %s", m.Name, key)
	default:
		e.Msg = fmt.Sprintf("the kernel refuses entry %s of map %s, a %s: %s", key, m.Name, m.Type, native.Cause(err))
	}
	return e
}
