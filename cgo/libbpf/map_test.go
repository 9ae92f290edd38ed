package libbpf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"syscall"
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestMaps makes, changes, walks and deletes, one by one and in batches.
func TestMaps(t *testing.T) {
	harness.NoLeak(t)
	m, err := libbpf.CreateMap(libbpf.MapTypeHash, "test", 4, 8, 100, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	key := func(n int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(n)) }
	value := func(n int) []byte { return binary.NativeEndian.AppendUint64(nil, uint64(n)) }
	var keys, values []byte
	for i := range 50 {
		keys, values = append(keys, key(i)...), append(values, value(10*i)...)
	}
	if n, err := libbpf.MapUpdateBatch(m.Int(), keys, values, 50); err != nil || n != 50 {
		t.Fatal(n, err)
	}
	if err := libbpf.MapUpdate(m.Int(), key(7), value(1), libbpf.UpdateNoExist); !errors.Is(err, syscall.EEXIST) {
		t.Errorf("made twice: %v", err)
	}
	if err := libbpf.MapUpdate(m.Int(), key(7), value(1), libbpf.UpdateExist); err != nil {
		t.Error(err)
	}
	got := make([]byte, 8)
	if err := libbpf.MapLookup(m.Int(), key(7), got); err != nil || !bytes.Equal(got, value(1)) {
		t.Errorf("%v, %v", got, err)
	}
	if err := libbpf.MapDelete(m.Int(), key(7)); err != nil {
		t.Error(err)
	}
	if err := libbpf.MapLookup(m.Int(), key(7), got); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("after the delete: %v", err)
	}
	walked := 0
	var at []byte
	for next := make([]byte, 4); ; walked++ {
		err := libbpf.MapNextKey(m.Int(), at, next)
		if errors.Is(err, syscall.ENOENT) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		at = slices.Clone(next)
	}
	if walked != 49 {
		t.Errorf("walked over %d keys, want 49", walked)
	}
	read := 0
	var in []byte
	for keys, values := make([]byte, 4*64), make([]byte, 8*64); ; {
		out := make([]byte, 8)
		n, err := libbpf.MapLookupBatch(m.Int(), in, out, keys, values, 16)
		read += n
		if errors.Is(err, syscall.ENOENT) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		in = out
	}
	if read != 49 {
		t.Errorf("read %d entries in batches, want 49", read)
	}
	if n, err := libbpf.MapDeleteBatch(m.Int(), keys, 7); err != nil || n != 7 {
		t.Errorf("deleted %d of 7: %v", n, err)
	}
	// The eighth isn't there any more.
	if n, err := libbpf.MapDeleteBatch(m.Int(), keys[4*7:], 2); !errors.Is(err, syscall.ENOENT) || n != 0 {
		t.Errorf("deleted %d of one that isn't there: %v", n, err)
	}
	out := make([]byte, 8)
	if n, err := libbpf.MapLookupAndDeleteBatch(m.Int(), nil, out, make([]byte, 4*64), make([]byte, 8*64), 64); !errors.Is(err, syscall.ENOENT) || n != 42 {
		t.Errorf("took %d, want 42: %v", n, err)
	}
	if err := libbpf.MapNextKey(m.Int(), nil, make([]byte, 4)); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("all was taken: %v", err)
	}
	if err := libbpf.MapFreeze(m.Int()); err != nil {
		t.Error(err)
	}
	if err := libbpf.MapUpdate(m.Int(), key(7), value(1), libbpf.UpdateAny); !errors.Is(err, syscall.EPERM) {
		t.Errorf("changed when frozen: %v", err)
	}
}

// TestQueue takes from a map without keys.
func TestQueue(t *testing.T) {
	harness.NoLeak(t)
	m, err := libbpf.CreateMap(libbpf.MapTypeQueue, "queue", 0, 1, 2, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, n := range []byte{3, 4} {
		if err := libbpf.MapUpdate(m.Int(), nil, []byte{n}, libbpf.UpdateAny); err != nil {
			t.Fatal(err)
		}
	}
	got := []byte{0}
	for _, want := range []byte{3, 4} {
		if err := libbpf.MapLookupAndDelete(m.Int(), nil, got); err != nil || got[0] != want {
			t.Errorf("%d, %v, want %d", got[0], err, want)
		}
	}
	if err := libbpf.MapLookupAndDelete(m.Int(), nil, got); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("the queue is empty: %v", err)
	}
}
