package transaction

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestFromMemory attaches a program whose object is no file, with constants, a variable and
// the size of a map that aren't the object's: packets and maps show all of them. In the
// chain's other copy of the program they are as the object has them. Without a dispatcher it
// is the same.
func TestFromMemory(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	data, err := os.ReadFile("../../build/bpf/xdp_length.o")
	if err != nil {
		t.Fatal(err)
	}
	done, err := dispatcher.Attach(t.Context(), v.Name, []xdp.Program{{
		Data:      data,
		Priority:  xdp.Prio(10),
		Variables: map[string]any{"max_length": 120, "step": uint8(40), "dropped": uint64(1) << 40},
		MapSizes:  map[string]uint32{"lengths": 3},
	}, {
		File:     "length.o",
		Data:     data,
		Priority: xdp.Prio(20),
	}}, dispatcher.AttachOptions{RequireDispatcher: true})
	if err != nil {
		t.Fatal(err)
	}
	sized := func(n int) []byte { return append(frame(plain), bytes.Repeat([]byte{0}, n-len(frame(plain)))...) }
	if passed := v.Deliver(t, sized(60), sized(119), sized(120), sized(121), sized(1000)); len(passed) != 3 {
		t.Errorf("%d of 5 packets passed, 3 are short enough", len(passed))
	}
	for i, want := range []struct {
		bss     string
		dropped uint64
		lengths []uint64
	}{
		{"memory.bss", 1<<40 + 2, []uint64{0, 1, 1}}, // 120 bytes lie beyond the map
		{"length.bss", 0, append([]uint64{1, 2}, make([]uint64, 22)...)},
	} {
		id := done.Programs[i].ID
		if got := lookup[uint64](t, id, want.bss, 0); got != want.dropped {
			t.Errorf("%s: %d dropped, want %d", want.bss, got, want.dropped)
		}
		for key, n := range want.lengths {
			if got := lookup[uint64](t, id, "lengths", uint32(key)); got != n {
				t.Errorf("%s: lengths has %d for %d, want %d", want.bss, got, key, n)
			}
		}
	}

	// The program that takes its place keeps its maps: what the variable holds is kept too,
	// and only the constant is new.
	replaced := commit(t, v.Name, dispatcher.Transaction{Replace: []dispatcher.Replacement{{ID: done.Programs[0].ID, KeepMaps: true, Program: xdp.Program{
		Data:      data,
		Variables: map[string]any{"max_length": 60, "step": uint8(40), "dropped": 5},
		MapSizes:  map[string]uint32{"lengths": 3},
	}}}}).Replaced[0]
	if passed := v.Deliver(t, sized(60), sized(61)); len(passed) != 1 {
		t.Errorf("%d of 2 packets passed, and 1 is short enough", len(passed))
	}
	if got := lookup[uint64](t, replaced.New.ID, "memory.bss", 0); got != 1<<40+3 {
		t.Errorf("%d dropped, want %d", got, uint64(1<<40+3))
	}
	unload(t, v.Name)

	t.Setenv("LIBXDP_SKIP_DISPATCHER", "1")
	alone, err := dispatcher.Attach(t.Context(), v.Name, []xdp.Program{{
		Data:      data,
		Variables: map[string]any{"max_length": 100},
		Contents:  []xdp.MapEntry{{Map: "lengths", Key: make([]byte, 4), Value: binary.NativeEndian.AppendUint64(nil, 7)}},
	}}, dispatcher.AttachOptions{})
	if err != nil || alone.Fallback == "" {
		t.Fatalf("%+v, %v", alone, err)
	}
	if passed := v.Deliver(t, sized(60), sized(101)); len(passed) != 1 {
		t.Errorf("%d of 2 packets passed, and 1 is short enough", len(passed))
	}
	if got := lookup[uint64](t, alone.Programs[0].ID, "lengths", 0); got != 8 {
		t.Errorf("without a dispatcher lengths has %d, want 8", got)
	}
	unload(t, v.Name)

	for _, c := range []struct {
		program xdp.Program
		kind    error
		says    string
	}{
		{xdp.Program{}, xdp.ErrInvalid, "a program without an object"},
		{xdp.Program{Data: data[:100]}, xdp.ErrObject, "the object in memory is a truncated ELF object"},
		{xdp.Program{Data: data, Name: "nobody"}, xdp.ErrObject, `the object in memory has no program "nobody"`},
		{xdp.Program{Data: data, Variables: map[string]any{"limit": 1}}, xdp.ErrInvalid, `the object in memory has no global variable "limit"`},
		{xdp.Program{Data: data, Variables: map[string]any{"step": 1 << 32}}, xdp.ErrInvalid, `variable "step" of the object in memory has 4 bytes, and its value is 4294967296, which doesn't fit`},
	} {
		_, err := dispatcher.Attach(t.Context(), v.Name, []xdp.Program{c.program}, dispatcher.AttachOptions{})
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("error: %v, want %q", err, c.says)
		}
	}
}

// lookup is the first value of a key of a program's map.
func lookup[V any](t *testing.T, id uint32, name string, key uint32) V {
	t.Helper()
	m, err := maps.Open(id, name)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	values, err := maps.Lookup[V](m, key)
	if err != nil {
		t.Fatalf("%s, key %d: %v", name, key, err)
	}
	return values[0]
}
