package maps

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/loaded"
	"github.com/xdpmux/xdpmux/dispatcher/value"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Some types of maps are special: nobody can read them, or their values stand for something else.
// Types are libbpf's words.

// unreadable says why no entry of the map can be read by a key. It is empty if they can.
func (m *Map) unreadable() (why, remedy string) {
	switch {
	case m.Type == "ringbuf", m.Type == "user_ringbuf", m.Type == "perf_event_array":
		return "has no entries to read", "what programs write there goes to the process that waits for it"
	case m.Type == "queue", m.Type == "stack":
		return "has no keys, and only the next of its values could be read", ""
	case m.Type == "bloom_filter":
		return "has no entries to read: it only knows whether it has seen a value", ""
	case m.Type == "xskmap":
		return "lets nobody read what is in it", "ss --xdp -e lists the AF_XDP sockets"
	case m.Type == "cgroup_array", m.ValueSize != 8 && holdsSockets(m.Type):
		return "lets nobody read what is in it", ""
	case m.Type != "cgroup_storage" && m.Type != "percpu_cgroup_storage" && strings.HasSuffix(m.Type, "_storage"):
		return "has no list of its keys", ""
	case m.Type == "arena":
		return "is memory without entries", ""
	}
	return "", ""
}

// holdsSockets says whether the values of a type are sockets. Who writes them gives descriptors, and
// who reads them gets cookies.
func holdsSockets(mapType string) bool {
	return mapType == "sockmap" || mapType == "sockhash" || mapType == "reuseport_sockarray"
}

// Readable is nil for a map whose entries can be read. For any other map, such as a ring
// buffer, it is an error of kind [xdp.ErrInvalid] that says why.
func (m *Map) Readable() error {
	if why, remedy := m.unreadable(); why != "" {
		return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("map %s is a %s, which %s", m.Name, m.Type, why), Remedy: remedy}
	}
	return nil
}

// Target is what a value stands for in a map of interfaces, CPUs, programs or maps. What
// the type of map doesn't have is nil.
type Target struct {
	Interface *xdp.Interface `json:"interface,omitempty"` // of a device map; its name is empty if this network namespace has none of that index
	QueueSize *uint32        `json:"queue_size,omitempty"`
	Program   *xdp.Loaded    `json:"program,omitempty"` // of a program array, or that runs for a device or CPU
	Map       *Info          `json:"map,omitempty"`
}

// MarshalJSON leaves out what the type of map doesn't have.
func (t Target) MarshalJSON() ([]byte, error) {
	type plain Target
	return json.Marshal(plain(t))
}

// String is as in "eth0 (2), program xdp_drop (12)".
func (t Target) String() string {
	named := func(name string, id uint64) string {
		if name == "" {
			return fmt.Sprint(id)
		}
		return fmt.Sprintf("%s (%d)", name, id)
	}
	var parts []string
	if t.Interface != nil {
		parts = append(parts, named(t.Interface.Name, uint64(t.Interface.Index)))
	}
	if t.QueueSize != nil {
		parts = append(parts, fmt.Sprintf("queue of %d packets", *t.QueueSize))
	}
	if t.Program != nil {
		parts = append(parts, "program "+named(t.Program.Name, uint64(t.Program.ID)))
	}
	if t.Map != nil {
		parts = append(parts, "map "+named(t.Map.Name, uint64(t.Map.ID)))
	}
	return strings.Join(parts, ", ")
}

// targets reads the values of a type of map that stand for something. It is nil if those of this
// type don't. What is gone by now has its number alone.
func (m *Map) targets() func(b []byte) value.Value {
	word := func(b []byte, at int) uint32 {
		if len(b) < at+4 {
			return 0
		}
		return binary.NativeEndian.Uint32(b[at:])
	}
	program := func(id uint32) *xdp.Loaded {
		if id == 0 {
			return nil
		}
		if info, err := loaded.ProgInfo(id); err == nil {
			return &xdp.Loaded{ID: id, Name: info.Name, Tag: info.Tag.String()}
		}
		return &xdp.Loaded{ID: id}
	}
	switch m.Type {
	case "devmap", "devmap_hash":
		names := map[int]string{}
		if all, err := device.All(); err == nil {
			for _, l := range all {
				names[l.Index] = l.Name
			}
		}
		return func(b []byte) value.Value { // struct bpf_devmap_val
			index := int(word(b, 0))
			return Target{Interface: &xdp.Interface{Name: names[index], Index: index}, Program: program(word(b, 4))}
		}
	case "cpumap":
		return func(b []byte) value.Value { // struct bpf_cpumap_val
			size := word(b, 0)
			return Target{QueueSize: &size, Program: program(word(b, 4))}
		}
	case "prog_array":
		return func(b []byte) value.Value { return Target{Program: program(word(b, 0))} }
	case "array_of_maps", "hash_of_maps":
		return func(b []byte) value.Value {
			inner, err := OpenID(word(b, 0))
			if err != nil {
				return Target{Map: &Info{ID: word(b, 0)}}
			}
			defer inner.Close()
			return Target{Map: &inner.Info}
		}
	}
	return nil
}
