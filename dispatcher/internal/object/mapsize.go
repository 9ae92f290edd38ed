package object

import (
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// sizeMaps gives maps the sizes that were asked for.
func sizeMaps(p xdp.Program, obj *File) error {
	names := map[string]bool{}
	for _, m := range obj.Maps() {
		names[m.Name()] = true
		if size, ok := p.MapSizes[m.Name()]; ok {
			if err := m.SetMaxEntries(int(size)); err != nil {
				return err
			}
		}
	}
	for name := range p.MapSizes {
		if !names[name] {
			return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("%s has no map %q", p.File, name),
				Remedy: fmt.Sprintf("its maps: %q", slices.Sorted(maps.Keys(names)))}
		}
	}
	return nil
}

// CheckMaps finds maps that no kernel makes as large as the object says. It is called before
// the load: the kernel answers one errno to all such faults, if it has the memory to answer.
// A map that exists already keeps its size, and isn't looked at.
func (o *Program) CheckMaps() error {
	total := uint64(0)
	for i, m := range o.Obj.Maps() {
		if o.keeps(i) || m.PinPath() != "" && exists(m.PinPath()) {
			continue
		}
		if fault := SizeFault(m); fault != "" {
			return &xdp.Error{Kind: xdp.ErrMapSize, Msg: fmt.Sprintf("map %q of %s %s", m.Name(), o.Called, fault), Remedy: "give it a size"}
		}
		memory := memoryOf(m)
		if total += memory; total > checkedMemory && total > availableMemory() {
			return &xdp.Error{Kind: xdp.ErrMapSize,
				Msg:    fmt.Sprintf("map %q of %s has %d entries, and there is no memory for its %d MiB", m.Name(), o.Called, uint32(m.MaxEntries()), memory>>20),
				Remedy: "give it a smaller size"}
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// SizeFault says why no kernel makes a map of that size; empty: one may.
func SizeFault(m *libbpf.Map) string {
	switch entries := uint32(m.MaxEntries()); {
	case entries == 0 && needsSize(m.Type()):
		return "has no size (max_entries is 0): it is made for a loader that gives it one"
	case entries > math.MaxInt32 && isArray(m.Type()):
		return fmt.Sprintf("has %d entries, which is more than any array has", entries)
	}
	return ""
}

// needsSize says whether the kernel refuses a map of that type without a size. libbpf
// finds the size of a perf_event_array itself, and local storage has none.
func needsSize(t libbpf.MapType) bool {
	name := t.String()
	return name != "perf_event_array" && name != "struct_ops" && !strings.HasSuffix(name, "_storage")
}

// isArray says whether the kernel has a slot of memory for each entry from the start.
func isArray(t libbpf.MapType) bool {
	name := t.String()
	return strings.HasSuffix(name, "array") || name == "array_of_maps" || name == "devmap" || name == "cpumap" || name == "xskmap" || name == "sockmap"
}

// checkedMemory is how much the maps of an object may take without a look at how much
// there is, in bytes.
const checkedMemory = 64 << 20

// memoryOf estimates how many bytes the kernel takes for a map when it makes it, at
// least.
func memoryOf(m *libbpf.Map) uint64 {
	const (
		pointer    = 8
		hashEntry  = 48        // struct htab_elem
		noPrealloc = 1         // BPF_F_NO_PREALLOC
		word       = uint64(8) // to which entries are aligned
	)
	align := func(n int) uint64 { return (uint64(n) + word - 1) &^ (word - 1) }
	entries, value := uint64(uint32(m.MaxEntries())), align(m.ValueSize())
	perCPU := value
	if m.Type().PerCPU() {
		if cpus, err := libbpf.NumPossibleCPUs(); err == nil {
			perCPU = pointer + value*uint64(cpus)
		}
	}
	switch m.Type() {
	case libbpf.MapTypeArray, libbpf.MapTypePerCPUArray:
		return entries * perCPU
	case libbpf.MapTypeHash, libbpf.MapTypePerCPUHash, libbpf.MapTypeLRUHash, libbpf.MapTypeLRUPerCPUHash:
		if m.Flags()&noPrealloc != 0 {
			return 0
		}
		return entries * (hashEntry + align(m.KeySize()) + perCPU)
	case libbpf.MapTypeRingBuf:
		return entries // bytes
	}
	if isArray(m.Type()) {
		return entries * pointer
	}
	return 0
}

// availableMemory is how many bytes can be had without swapping (proc(5), MemAvailable). It
// is more than any map takes if that isn't known.
func availableMemory() uint64 {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return math.MaxUint64
	}
	_, text, ok := strings.Cut(string(info), "MemAvailable:")
	kib := uint64(0)
	if _, err := fmt.Sscan(text, &kib); !ok || err != nil {
		return math.MaxUint64
	}
	return kib << 10
}
