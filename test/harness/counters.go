package harness

import (
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
)

// MapIDs are the ids of the maps that a loaded program uses.
func MapIDs(t testing.TB, progID uint32) []uint32 {
	t.Helper()
	prog, err := libbpf.ProgByID(progID)
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	info, err := libbpf.ProgInfoByFD(prog.Int())
	if err != nil {
		t.Fatal(err)
	}
	return info.MapIDs
}

// Counters reads the 64-bit numbers of a loaded program's only map, an array, each
// summed over the CPUs.
func Counters(t testing.TB, progID uint32) []uint64 {
	t.Helper()
	var sums []uint64
	for _, values := range CPUCounters(t, progID) {
		sum := uint64(0)
		for _, v := range values {
			sum += v
		}
		sums = append(sums, sum)
	}
	return sums
}

// CPUCounters is Counters with the number of each CPU, instead of their sum. If the map isn't
// per CPU, there is one number for all.
func CPUCounters(t testing.TB, progID uint32) [][]uint64 {
	t.Helper()
	ids := MapIDs(t, progID)
	if len(ids) != 1 {
		t.Fatalf("program %d has %d maps", progID, len(ids))
	}
	m, err := maps.OpenID(ids[0])
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	all := make([][]uint64, m.MaxEntries)
	for key := range all {
		if all[key], err = maps.Lookup[uint64](m, uint32(key)); err != nil {
			t.Fatalf("the counters of program %d: %v", progID, err)
		}
	}
	return all
}
