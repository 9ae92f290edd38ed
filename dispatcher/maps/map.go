package maps

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/value"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Info says what a map in the kernel is.
type Info struct {
	ID         uint32 `json:"id"`
	Name       string `json:"name"`       // the kernel cuts it to 15 characters; in full if a program that uses the map tells it
	Type       string `json:"type"`       // libbpf's word, such as "percpu_array"
	KeySize    int    `json:"key_size"`   // bytes
	ValueSize  int    `json:"value_size"` // bytes, of one CPU's value
	MaxEntries int    `json:"max_entries"`
	PerCPU     bool   `json:"per_cpu"` // each key has a value for every possible CPU
	BTF        bool   `json:"btf"`     // the types of key and value are known
}

// Map is an open map. While it is open the map stays in the kernel, also when its programs
// are gone. It isn't safe for concurrent use.
type Map struct {
	Info
	fd         *libbpf.FD
	typ        libbpf.MapType
	key, value *value.Layout
	keyKnown   bool // by the type of map
	cpus       int  // values of each key; 1 for a map that is not per CPU
}

// Open opens a map that a loaded program uses, by the map's name. The ids of programs are in
// [dispatcher.Attachment] and in [dispatcher.Chain]. An error of kind [xdp.ErrNoMap] lists the maps
// there are. Open stands for bpf_map_get_fd_by_id.
func Open(progID uint32, name string) (*Map, error) {
	all, err := object.MapsOfID(progID)
	if errors.Is(err, syscall.ENOENT) {
		return nil, &xdp.Error{Kind: xdp.ErrNoProgram, Msg: fmt.Sprintf("no program %d is loaded", progID), Err: err}
	}
	if err != nil {
		return nil, privilege.Explain(err)
	}
	var found, certain []*object.RunningMap
	var names, ids []string
	for _, m := range all {
		names = append(names, m.FullName())
		if !m.MayBe(name) {
			continue
		}
		found, ids = append(found, m), append(ids, fmt.Sprint(m.ID))
		if m.FullName() == name {
			certain = append(certain, m)
		}
	}
	switch {
	case len(certain) == 1:
		return OpenID(certain[0].ID)
	case len(found) == 1:
		return OpenID(found[0].ID)
	case len(found) > 1:
		return nil, &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("program %d uses %d maps that may be %q, of whose names the kernel has %d characters", progID, len(found), name, loaded.MaxName),
			Remedy: "choose one by its id: " + strings.Join(ids, ", ")}
	}
	return nil, noMap(fmt.Sprintf("program %d uses no map %q", progID, name), names)
}

// noMap lists what there is instead.
func noMap(msg string, names []string) error {
	e := &xdp.Error{Kind: xdp.ErrNoMap, Msg: msg, Remedy: "there is no map at all"}
	if len(names) > 0 {
		e.Remedy = "its maps: " + strings.Join(names, ", ")
	}
	return e
}

// OpenID opens the map with that id. Errors: [xdp.ErrNoMap], [xdp.ErrPermission]. It
// stands for bpf_map_get_fd_by_id.
func OpenID(id uint32) (*Map, error) {
	fd, err := loaded.OpenMap(id)
	if errors.Is(err, syscall.ENOENT) {
		return nil, &xdp.Error{Kind: xdp.ErrNoMap, Msg: fmt.Sprintf("no map with id %d", id), Err: err}
	}
	if err != nil {
		return nil, privilege.Explain(err)
	}
	m := &Map{fd: fd}
	if err := m.readInfo(); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func (m *Map) readInfo() error {
	info, err := libbpf.MapInfoByFD(m.fd.Int())
	if err != nil {
		return err
	}
	m.typ = info.Type
	m.Info = Info{ID: info.ID, Name: info.Name, Type: info.Type.String(), PerCPU: info.Type.PerCPU(),
		KeySize: info.KeySize, ValueSize: info.ValueSize, MaxEntries: info.MaxEntries}
	m.key, m.value, m.cpus = value.Bytes(info.KeySize), value.Bytes(info.ValueSize), 1
	if m.indexed() || m.Type == "devmap_hash" {
		m.key, m.keyKnown = value.Uint(info.KeySize), true
	}
	if m.PerCPU {
		if m.cpus, err = libbpf.NumPossibleCPUs(); err != nil {
			return err
		}
	}
	if info.BTFID == 0 || info.BTFValueTypeID == 0 {
		return nil
	}
	btf, err := loaded.OpenBTF(info.BTFID)
	if err != nil {
		return err
	}
	defer btf.Close()
	if m.value, err = value.FromBTF(btf, info.BTFValueTypeID); err != nil {
		return err
	}
	m.BTF = true
	if info.BTFKeyTypeID != 0 && !m.keyKnown { // global variables have none
		m.key, err = value.FromBTF(btf, info.BTFKeyTypeID)
	}
	return err
}

// Typed says whether keys and values are more than bytes: type information or the type of the map
// tells what they are.
func (m *Map) Typed() bool { return m.BTF || m.keyKnown && m.targets() != nil }

// indexed says whether the keys are the numbers from 0 to MaxEntries-1.
func (m *Map) indexed() bool {
	switch m.typ {
	case libbpf.MapTypeArray, libbpf.MapTypePerCPUArray, libbpf.MapTypeCPUMap:
		return true
	}
	// libbpf names what xdpmux has no constant for.
	return m.Type == "devmap" || m.Type == "prog_array" || m.Type == "array_of_maps"
}

// CPUs is how many values each key has, one for each possible CPU; 0 if the map isn't per CPU.
func (m *Map) CPUs() int {
	if !m.PerCPU {
		return 0
	}
	return m.cpus
}

// Close lets go of the map. It is idempotent.
func (m *Map) Close() error { return m.fd.Close() }

// Numeric says whether each value is one number, as a counter is.
func (m *Map) Numeric() bool { return m.value.Numeric() }

// valueBytes is how much room the values of a key take: those of a per-CPU map are
// rounded up to 8 bytes each.
func (m *Map) valueBytes() int {
	if m.PerCPU {
		return (m.ValueSize + 7) / 8 * 8 * m.cpus
	}
	return m.ValueSize
}

// Lookup reads the value of a key. A per-CPU map has one for each possible CPU, any other map a
// single one. Key and value have a fixed size and are laid out as in C, with a field named _ where
// C leaves a gap (see package encoding/binary). If the key isn't there, the error is
// syscall.ENOENT. Lookup stands for bpf_map_lookup_elem.
func Lookup[V any](m *Map, key any) ([]V, error) {
	k, err := m.encode("key", m.KeySize, key)
	if err != nil {
		return nil, err
	}
	values := make([]V, m.cpus)
	if size := binary.Size(values[0]); size != m.ValueSize {
		return nil, m.wrongSize("value", m.ValueSize, values[0])
	}
	raw := make([]byte, m.valueBytes())
	if err := libbpf.MapLookup(m.fd.Int(), k, raw); err != nil {
		return nil, fmt.Errorf("map %s: %w", m.Name, err)
	}
	for i := range values {
		if _, err := binary.Decode(raw[len(raw)/m.cpus*i:], binary.NativeEndian, &values[i]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// Update sets the value of a key; in a per-CPU map it sets that of every CPU. Key and value are as
// in [Lookup]. It stands for bpf_map_update_elem.
func (m *Map) Update(key, value any) error {
	k, err := m.encode("key", m.KeySize, key)
	if err != nil {
		return err
	}
	v, err := m.encode("value", m.ValueSize, value)
	if err != nil {
		return err
	}
	raw := make([]byte, m.valueBytes())
	for i := range m.cpus {
		copy(raw[len(raw)/m.cpus*i:], v)
	}
	if err := libbpf.MapUpdate(m.fd.Int(), k, raw, libbpf.UpdateAny); err != nil {
		return fmt.Errorf("map %s: %w", m.Name, err)
	}
	return nil
}

func (m *Map) encode(what string, size int, v any) ([]byte, error) {
	b, err := binary.Append(nil, binary.NativeEndian, v)
	if err != nil || len(b) != size {
		return nil, m.wrongSize(what, size, v)
	}
	return b, nil
}

func (m *Map) wrongSize(what string, size int, v any) error {
	return &xdp.Error{Kind: xdp.ErrInvalid,
		Msg:    fmt.Sprintf("a %s of map %s has %d bytes, and a Go %T doesn't", what, m.Name, size, v),
		Remedy: "use types of a fixed size, laid out as in C"}
}
