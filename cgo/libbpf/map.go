package libbpf

/*
#include "shim.h"
*/
import "C"

import "unsafe"

// MapType is the kernel's type of a map (enum bpf_map_type).
type MapType uint32

// The types that XDP programs use most; any other number of the kernel's is as good.
const (
	MapTypeHash           MapType = C.BPF_MAP_TYPE_HASH
	MapTypeArray          MapType = C.BPF_MAP_TYPE_ARRAY
	MapTypePerCPUHash     MapType = C.BPF_MAP_TYPE_PERCPU_HASH
	MapTypePerCPUArray    MapType = C.BPF_MAP_TYPE_PERCPU_ARRAY
	MapTypeLRUHash        MapType = C.BPF_MAP_TYPE_LRU_HASH
	MapTypeLRUPerCPUHash  MapType = C.BPF_MAP_TYPE_LRU_PERCPU_HASH
	MapTypeArrayOfMaps    MapType = C.BPF_MAP_TYPE_ARRAY_OF_MAPS
	MapTypeHashOfMaps     MapType = C.BPF_MAP_TYPE_HASH_OF_MAPS
	MapTypeProgArray      MapType = C.BPF_MAP_TYPE_PROG_ARRAY
	MapTypeLPMTrie        MapType = C.BPF_MAP_TYPE_LPM_TRIE
	MapTypeDevMap         MapType = C.BPF_MAP_TYPE_DEVMAP
	MapTypeDevMapHash     MapType = C.BPF_MAP_TYPE_DEVMAP_HASH
	MapTypeCPUMap         MapType = C.BPF_MAP_TYPE_CPUMAP
	MapTypeXSKMap         MapType = C.BPF_MAP_TYPE_XSKMAP
	MapTypeQueue          MapType = C.BPF_MAP_TYPE_QUEUE
	MapTypeStack          MapType = C.BPF_MAP_TYPE_STACK
	MapTypeRingBuf        MapType = C.BPF_MAP_TYPE_RINGBUF
	MapTypePerfEventArray MapType = C.BPF_MAP_TYPE_PERF_EVENT_ARRAY
)

// Flags of [CreateMap] and [Map.Flags].
const (
	MapFlagReadOnlyProg uint32 = C.BPF_F_RDONLY_PROG // programs can't write to the map
	MapFlagNoPrealloc   uint32 = C.BPF_F_NO_PREALLOC // entries take memory once they are made; MapTypeLPMTrie wants it
)

// PerCPU says whether each key has a value for every possible CPU. See [MapLookup].
func (t MapType) PerCPU() bool {
	switch t {
	case MapTypePerCPUHash, MapTypePerCPUArray, MapTypeLRUPerCPUHash, C.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE:
		return true
	}
	return false
}

// String is libbpf's word for the type, such as "percpu_array", and "unknown" for a number
// that it doesn't know. It stands for libbpf_bpf_map_type_str.
func (t MapType) String() string {
	if s := C.libbpf_bpf_map_type_str(uint32(t)); s != nil {
		return C.GoString(s)
	}
	return "unknown"
}

// Map is one map of an object, borrowed from it.
type Map struct{ ptr *C.struct_bpf_map }

// Name is the variable's name; a map for global variables is called by the object and the
// section. It stands for bpf_map__name.
func (m *Map) Name() string { return C.GoString(C.bpf_map__name(m.ptr)) }

// Type is the kernel's type of the map. It stands for bpf_map__type.
func (m *Map) Type() MapType { return MapType(C.bpf_map__type(m.ptr)) }

// KeySize is in bytes. It stands for bpf_map__key_size.
func (m *Map) KeySize() int { return int(C.bpf_map__key_size(m.ptr)) }

// ValueSize is in bytes, of one CPU's value. It stands for bpf_map__value_size.
func (m *Map) ValueSize() int { return int(C.bpf_map__value_size(m.ptr)) }

// MaxEntries is the number of entries; of a ring buffer, its bytes. It stands for
// bpf_map__max_entries.
func (m *Map) MaxEntries() int { return int(C.bpf_map__max_entries(m.ptr)) }

// Flags are the BPF_F_ flags that the map is made with. It stands for
// bpf_map__map_flags.
func (m *Map) Flags() uint32 { return uint32(C.bpf_map__map_flags(m.ptr)) }

// BTFValueTypeID is the id, in the object's BTF, of the type of the map's values. 0: it
// isn't known. It stands for bpf_map__btf_value_type_id.
func (m *Map) BTFValueTypeID() uint32 { return uint32(C.bpf_map__btf_value_type_id(m.ptr)) }

// SetMaxEntries sets the number of entries, before the load. It stands for
// bpf_map__set_max_entries.
func (m *Map) SetMaxEntries(n int) error {
	return check("bpf_map__set_max_entries", C.bpf_map__set_max_entries(m.ptr, C.__u32(n)))
}

// Internal says whether the map isn't declared in the source, but made by libbpf for
// global variables. It stands for bpf_map__is_internal.
func (m *Map) Internal() bool { return bool(C.bpf_map__is_internal(m.ptr)) }

// PinPath is where the load pins the map, or takes it from if it is there already. Empty:
// nowhere. It stands for bpf_map__pin_path.
func (m *Map) PinPath() string { return C.GoString(C.bpf_map__pin_path(m.ptr)) }

// SetPinPath changes that, before the load. Empty: the map isn't pinned. It stands for
// bpf_map__set_pin_path.
func (m *Map) SetPinPath(path string) error {
	p := cString(path)
	defer freeString(p)
	return check("bpf_map__set_pin_path", C.bpf_map__set_pin_path(m.ptr, p))
}

// Pinned says whether this object has pinned the map, or found it at its pin. It stands for
// bpf_map__is_pinned.
func (m *Map) Pinned() bool { return bool(C.bpf_map__is_pinned(m.ptr)) }

// Pin pins the loaded map. Empty: at its PinPath. It stands for bpf_map__pin.
func (m *Map) Pin(path string) error {
	p := cString(path)
	defer freeString(p)
	return check("bpf_map__pin", C.bpf_map__pin(m.ptr, p))
}

// Unpin removes the map's pin. Empty: that at its PinPath. It stands for bpf_map__unpin.
func (m *Map) Unpin(path string) error {
	p := cString(path)
	defer freeString(p)
	return check("bpf_map__unpin", C.bpf_map__unpin(m.ptr, p))
}

// ReuseFD makes the load use the map behind fd, which libbpf duplicates. It
// stands for bpf_map__reuse_fd.
func (m *Map) ReuseFD(fd int) error {
	return check("bpf_map__reuse_fd", C.bpf_map__reuse_fd(m.ptr, C.int(fd)))
}

// InitialValue is the value of a map for global variables as the load puts it in the map.
// It is the object's memory, and may be changed before the load. It is nil for any other
// map. It stands for bpf_map__initial_value.
func (m *Map) InitialValue() []byte {
	var size C.size_t
	p := C.bpf_map__initial_value(m.ptr, &size)
	if p == nil {
		return nil
	}
	return unsafe.Slice((*byte)(p), int(size))
}

// SetInitialValue copies a value there, before the load. It has to have the map's
// ValueSize. It stands for bpf_map__set_initial_value.
func (m *Map) SetInitialValue(value []byte) error {
	return check("bpf_map__set_initial_value", C.bpf_map__set_initial_value(m.ptr, bytesPtr(value), C.size_t(len(value))))
}

// FD is the loaded map's descriptor, borrowed from the object. It is negative before the
// load. It stands for bpf_map__fd.
func (m *Map) FD() int { return int(C.bpf_map__fd(m.ptr)) }

// Flags of [MapUpdate].
const (
	UpdateAny     = C.BPF_ANY     // make or change
	UpdateNoExist = C.BPF_NOEXIST // make only
	UpdateExist   = C.BPF_EXIST   // change only
)

// CreateMap makes a map. Sizes are in bytes, flags those of the kernel (BPF_F_). It stands
// for bpf_map_create.
func CreateMap(t MapType, name string, keySize, valueSize, maxEntries int, flags uint32) (*FD, error) {
	n := cString(name)
	defer freeString(n)
	return newFD("bpf_map_create", C.xm_map_create(C.int(t), n, C.__u32(keySize), C.__u32(valueSize), C.__u32(maxEntries), C.__u32(flags)))
}

// CreateMapOfMaps makes an array of maps of the type and sizes that inner has. Keys and
// values have 4 bytes. Who updates it writes descriptors, who reads it gets ids. It stands
// for bpf_map_create.
func CreateMapOfMaps(name string, inner *FD, maxEntries int) (*FD, error) {
	n := cString(name)
	defer freeString(n)
	return newFD("bpf_map_create", C.xm_map_of_maps_create(n, C.int(inner.Int()), C.__u32(maxEntries)))
}

// MapLookup copies the value of key into value. That of a per-CPU map is a value for each
// possible CPU ([NumPossibleCPUs]), each rounded up to 8 bytes. ENOENT: no such key. It
// stands for bpf_map_lookup_elem.
func MapLookup(fd int, key, value []byte) error {
	return check("bpf_map_lookup_elem", C.bpf_map_lookup_elem(C.int(fd), bytesPtr(key), bytesPtr(value)))
}

// MapUpdate sets the value of key; flags is one of the Update constants. It
// stands for bpf_map_update_elem.
func MapUpdate(fd int, key, value []byte, flags uint64) error {
	return check("bpf_map_update_elem", C.bpf_map_update_elem(C.int(fd), bytesPtr(key), bytesPtr(value), C.__u64(flags)))
}

// MapLookupAndDelete is MapLookup that removes the key. A queue or a stack has no key. It
// stands for bpf_map_lookup_and_delete_elem.
func MapLookupAndDelete(fd int, key, value []byte) error {
	return check("bpf_map_lookup_and_delete_elem", C.bpf_map_lookup_and_delete_elem(C.int(fd), bytesPtr(key), bytesPtr(value)))
}

// MapDelete removes key. ENOENT: no such key. It stands for bpf_map_delete_elem.
func MapDelete(fd int, key []byte) error {
	return check("bpf_map_delete_elem", C.bpf_map_delete_elem(C.int(fd), bytesPtr(key)))
}

// MapFreeze makes a map read-only for user space, for good. It stands for bpf_map_freeze.
func MapFreeze(fd int) error {
	return check("bpf_map_freeze", C.bpf_map_freeze(C.int(fd)))
}

// MapNextKey writes the key that follows key to next, and the first one for nil. ENOENT:
// there are no more. It stands for bpf_map_get_next_key.
func MapNextKey(fd int, key, next []byte) error {
	return check("bpf_map_get_next_key", C.bpf_map_get_next_key(C.int(fd), bytesPtr(key), bytesPtr(next)))
}

// MapLookupBatch reads up to count entries. It begins at the place in, nil being the start,
// and writes the place to go on from to out; a place has the size of a key, and at least 4
// bytes. The number of entries that it has read is good without an error and with ENOENT,
// which says that they were the last. ENOSPC: a hash needs a larger count. It stands for
// bpf_map_lookup_batch.
func MapLookupBatch(fd int, in, out, keys, values []byte, count int) (int, error) {
	n := C.__u32(count)
	err := check("bpf_map_lookup_batch", C.xm_map_lookup_batch(C.int(fd), bytesPtr(in), bytesPtr(out), bytesPtr(keys), bytesPtr(values), &n))
	return int(n), err
}

// MapLookupAndDeleteBatch is MapLookupBatch that removes what it has read. It stands for
// bpf_map_lookup_and_delete_batch.
func MapLookupAndDeleteBatch(fd int, in, out, keys, values []byte, count int) (int, error) {
	n := C.__u32(count)
	err := check("bpf_map_lookup_and_delete_batch", C.xm_map_lookup_and_delete_batch(C.int(fd), bytesPtr(in), bytesPtr(out), bytesPtr(keys), bytesPtr(values), &n))
	return int(n), err
}

// MapUpdateBatch sets count entries. It returns how many it has set; with an error, count
// itself says that none was tried. It stands for bpf_map_update_batch.
func MapUpdateBatch(fd int, keys, values []byte, count int) (int, error) {
	n := C.__u32(count)
	err := check("bpf_map_update_batch", C.xm_map_update_batch(C.int(fd), bytesPtr(keys), bytesPtr(values), &n))
	return int(n), err
}

// MapDeleteBatch removes count keys, and returns how many as MapUpdateBatch does. It stands
// for bpf_map_delete_batch.
func MapDeleteBatch(fd int, keys []byte, count int) (int, error) {
	n := C.__u32(count)
	err := check("bpf_map_delete_batch", C.xm_map_delete_batch(C.int(fd), bytesPtr(keys), &n))
	return int(n), err
}
