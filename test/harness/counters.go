package harness

import (
	"fmt"
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
)

// Counters reads the 64-bit numbers of a loaded program's only map, an array, each
// summed over the CPUs.
func Counters(t testing.TB, progID uint32) []uint64 {
	t.Helper()
	sums, err := readCounters(progID)
	if err != nil {
		t.Fatalf("the counters of program %d: %v", progID, err)
	}
	return sums
}

func readCounters(progID uint32) ([]uint64, error) {
	prog, err := libbpf.ProgByID(progID)
	if err != nil {
		return nil, err
	}
	defer prog.Close()
	info, err := libbpf.ProgInfoByFD(prog.Int())
	if err != nil {
		return nil, err
	}
	if len(info.MapIDs) != 1 {
		return nil, fmt.Errorf("it has %d maps", len(info.MapIDs))
	}
	m, err := maps.OpenID(info.MapIDs[0])
	if err != nil {
		return nil, err
	}
	defer m.Close()
	sums := make([]uint64, m.MaxEntries)
	for key := range sums {
		values, err := maps.Lookup[uint64](m, uint32(key))
		if err != nil {
			return nil, err
		}
		for _, v := range values {
			sums[key] += v
		}
	}
	return sums, nil
}
