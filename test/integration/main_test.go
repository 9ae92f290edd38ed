// Package integration runs xdpmux beside the native tools on a real kernel.
package integration

import (
	"encoding/binary"
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// The tools that are compared.
const native = "xdp-loader"

// status is what is on an interface.
func status(t *testing.T, ifname string) *dispatcher.Chain {
	t.Helper()
	chain, err := dispatcher.Status(t.Context(), ifname)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// counts reads the sum over all CPUs of the only map of each program in a chain
// that has one.
func counts(t *testing.T, ifname string) []uint64 {
	t.Helper()
	var all []uint64
	for _, p := range status(t, ifname).Programs {
		fd, err := libbpf.ProgByID(p.ID)
		if err != nil {
			t.Fatal(err)
		}
		info, err := libbpf.ProgInfoByFD(fd.Int())
		fd.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range info.MapIDs {
			all = append(all, sum(t, id))
		}
	}
	return all
}

func sum(t *testing.T, mapID uint32) uint64 {
	t.Helper()
	fd, err := libbpf.MapByID(mapID)
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	cpus, err := libbpf.NumPossibleCPUs()
	if err != nil {
		t.Fatal(err)
	}
	values := make([]byte, 8*cpus)
	if err := libbpf.MapLookup(fd.Int(), make([]byte, 4), values); err != nil {
		t.Fatal(err)
	}
	var total uint64
	for ; len(values) > 0; values = values[8:] {
		total += binary.NativeEndian.Uint64(values)
	}
	return total
}
