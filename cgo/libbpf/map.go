package libbpf

/*
#include "shim.h"
*/
import "C"

import (
	"syscall"
	"unsafe"
)

// MapType is the kernel's type of a map (enum bpf_map_type).
type MapType uint32

// The types whose values are kept per CPU, and others that xdpmux asks for.
const (
	MapTypeHash          MapType = C.BPF_MAP_TYPE_HASH
	MapTypeArray         MapType = C.BPF_MAP_TYPE_ARRAY
	MapTypePerCPUHash    MapType = C.BPF_MAP_TYPE_PERCPU_HASH
	MapTypePerCPUArray   MapType = C.BPF_MAP_TYPE_PERCPU_ARRAY
	MapTypeLRUHash       MapType = C.BPF_MAP_TYPE_LRU_HASH
	MapTypeLRUPerCPUHash MapType = C.BPF_MAP_TYPE_LRU_PERCPU_HASH
	MapTypeArrayOfMaps   MapType = C.BPF_MAP_TYPE_ARRAY_OF_MAPS
	MapTypeHashOfMaps    MapType = C.BPF_MAP_TYPE_HASH_OF_MAPS
	MapTypeDevMap        MapType = C.BPF_MAP_TYPE_DEVMAP
	MapTypeDevMapHash    MapType = C.BPF_MAP_TYPE_DEVMAP_HASH
	MapTypeCPUMap        MapType = C.BPF_MAP_TYPE_CPUMAP
	MapTypeRingBuf       MapType = C.BPF_MAP_TYPE_RINGBUF
)

// MapFlagReadOnlyProg makes a map read-only for programs.
const MapFlagReadOnlyProg uint32 = C.BPF_F_RDONLY_PROG

// PerCPU says whether each key has a value for every possible CPU.
func (t MapType) PerCPU() bool {
	switch t {
	case MapTypePerCPUHash, MapTypePerCPUArray, MapTypeLRUPerCPUHash, C.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE:
		return true
	}
	return false
}

// String is libbpf's word for the type, such as "percpu_array". It stands for
// libbpf_bpf_map_type_str.
func (t MapType) String() string {
	if s := C.libbpf_bpf_map_type_str(uint32(t)); s != nil {
		return C.GoString(s)
	}
	return "unknown"
}

// Map is one map of an object, borrowed from it.
type Map struct{ ptr *C.struct_bpf_map }

// Name stands for bpf_map__name.
func (m *Map) Name() string { return C.GoString(C.bpf_map__name(m.ptr)) }

// Type stands for bpf_map__type.
func (m *Map) Type() MapType { return MapType(C.bpf_map__type(m.ptr)) }

// KeySize is in bytes. It stands for bpf_map__key_size.
func (m *Map) KeySize() int { return int(C.bpf_map__key_size(m.ptr)) }

// ValueSize is in bytes, of one CPU's value. It stands for bpf_map__value_size.
func (m *Map) ValueSize() int { return int(C.bpf_map__value_size(m.ptr)) }

// MaxEntries stands for bpf_map__max_entries.
func (m *Map) MaxEntries() int { return int(C.bpf_map__max_entries(m.ptr)) }

// Flags are the BPF_F_ flags that the map is made with. It stands for
// bpf_map__map_flags.
func (m *Map) Flags() uint32 { return uint32(C.bpf_map__map_flags(m.ptr)) }

// BTFValueTypeID is the type of the map's values in the object's BTF; 0: unknown.
// It stands for bpf_map__btf_value_type_id.
func (m *Map) BTFValueTypeID() uint32 { return uint32(C.bpf_map__btf_value_type_id(m.ptr)) }

// SetMaxEntries stands for bpf_map__set_max_entries.
func (m *Map) SetMaxEntries(n int) error {
	return check("bpf_map__set_max_entries", C.bpf_map__set_max_entries(m.ptr, C.__u32(n)))
}

// Internal says whether libbpf made the map for global variables. It stands for
// bpf_map__is_internal.
func (m *Map) Internal() bool { return bool(C.bpf_map__is_internal(m.ptr)) }

// PinPath is where the map is pinned by the load; empty: nowhere. It stands for
// bpf_map__pin_path.
func (m *Map) PinPath() string { return C.GoString(C.bpf_map__pin_path(m.ptr)) }

// SetPinPath changes it; empty clears it. It stands for bpf_map__set_pin_path.
func (m *Map) SetPinPath(path string) error {
	p := cString(path)
	defer freeString(p)
	return check("bpf_map__set_pin_path", C.bpf_map__set_pin_path(m.ptr, p))
}

// Pinned says whether the map is pinned by this object or was found at its pin.
// It stands for bpf_map__is_pinned.
func (m *Map) Pinned() bool { return bool(C.bpf_map__is_pinned(m.ptr)) }

// Pin pins the map at its pin path. It stands for bpf_map__pin.
func (m *Map) Pin(path string) error {
	p := cString(path)
	defer freeString(p)
	return check("bpf_map__pin", C.bpf_map__pin(m.ptr, p))
}

// Unpin takes the map's pin away. It stands for bpf_map__unpin.
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

// InitialValue is the memory that the map's first value is taken from when the
// object is loaded, to be changed in place before that; nil where there is none.
// It stands for bpf_map__initial_value.
func (m *Map) InitialValue() []byte {
	var size C.size_t
	p := C.bpf_map__initial_value(m.ptr, &size)
	if p == nil {
		return nil
	}
	return unsafe.Slice((*byte)(p), int(size))
}

// SetInitialValue stands for bpf_map__set_initial_value.
func (m *Map) SetInitialValue(value []byte) error {
	return check("bpf_map__set_initial_value", C.bpf_map__set_initial_value(m.ptr, bytesPtr(value), C.size_t(len(value))))
}

// FD is the loaded map's descriptor, borrowed from the object; negative before
// the load. It stands for bpf_map__fd.
func (m *Map) FD() int { return int(C.bpf_map__fd(m.ptr)) }

// Flags of MapUpdate.
const (
	UpdateAny     = C.BPF_ANY     // make or change
	UpdateNoExist = C.BPF_NOEXIST // make only
	UpdateExist   = C.BPF_EXIST   // change only
)

// CreateMap makes a map. It stands for bpf_map_create.
func CreateMap(t MapType, name string, keySize, valueSize, maxEntries int, flags uint32) (*FD, error) {
	n := cString(name)
	defer freeString(n)
	return newFD("bpf_map_create", C.xm_map_create(C.int(t), n, C.__u32(keySize), C.__u32(valueSize), C.__u32(maxEntries), C.__u32(flags)))
}

// CreateMapOfMaps makes an array of maps that are like inner. Its values are their
// descriptors. It stands for bpf_map_create.
func CreateMapOfMaps(name string, inner *FD, maxEntries int) (*FD, error) {
	n := cString(name)
	defer freeString(n)
	return newFD("bpf_map_create", C.xm_map_of_maps_create(n, C.int(inner.Int()), C.__u32(maxEntries)))
}

// MapLookup copies the value of key into value, which for a per-CPU map holds a
// value for each possible CPU, each rounded up to 8 bytes. ENOENT: no such key.
// It stands for bpf_map_lookup_elem.
func MapLookup(fd int, key, value []byte) error {
	return check("bpf_map_lookup_elem", C.bpf_map_lookup_elem(C.int(fd), bytesPtr(key), bytesPtr(value)))
}

// MapUpdate sets the value of key; flags is one of the Update constants. It
// stands for bpf_map_update_elem.
func MapUpdate(fd int, key, value []byte, flags uint64) error {
	return check("bpf_map_update_elem", C.bpf_map_update_elem(C.int(fd), bytesPtr(key), bytesPtr(value), C.__u64(flags)))
}

// MapDelete removes key. It stands for bpf_map_delete_elem.
func MapDelete(fd int, key []byte) error {
	return check("bpf_map_delete_elem", C.bpf_map_delete_elem(C.int(fd), bytesPtr(key)))
}

// MapNextKey writes the key after key, or the first for nil, to next. ENOENT:
// that was the last. It stands for bpf_map_get_next_key.
func MapNextKey(fd int, key, next []byte) error {
	return check("bpf_map_get_next_key", C.bpf_map_get_next_key(C.int(fd), bytesPtr(key), bytesPtr(next)))
}

// MapLookupBatch reads up to count entries that follow the place in (nil: the
// start), and writes the place to go on from to out, which holds at least a key
// and 4 bytes. It returns how many entries it read; with ENOENT these were the
// last. It stands for bpf_map_lookup_batch.
func MapLookupBatch(fd int, in, out, keys, values []byte, count int) (int, error) {
	n := C.__u32(count)
	err := check("bpf_map_lookup_batch", C.xm_map_lookup_batch(C.int(fd), bytesPtr(in), bytesPtr(out), bytesPtr(keys), bytesPtr(values), &n))
	if e, ok := err.(*Error); ok && e.Errno != syscall.ENOENT {
		n = 0
	}
	return int(n), err
}

// MapUpdateBatch sets count entries and returns how many it has set. It stands
// for bpf_map_update_batch.
func MapUpdateBatch(fd int, keys, values []byte, count int) (int, error) {
	n := C.__u32(count)
	err := check("bpf_map_update_batch", C.xm_map_update_batch(C.int(fd), bytesPtr(keys), bytesPtr(values), &n))
	return int(n), err
}
