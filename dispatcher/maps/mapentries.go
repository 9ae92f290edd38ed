package maps

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/value"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Entry is a key of a map with its value. In a per-CPU map it has a value for each possible CPU. A
// value that stands for an interface, a program or a map is a [Target].
type Entry struct {
	Key    value.Value
	Values []value.Value
}

// Entries reads the map. Entries that come or go meanwhile may be seen or not. An error is
// the last of the sequence. It stands for bpf_map_lookup_batch where the kernel can do
// that, otherwise for bpf_map_get_next_key and bpf_map_lookup_elem.
//
// Errors: [xdp.ErrInvalid] for a type of map whose entries nobody can read, such as a ring
// buffer.
func (m *Map) Entries(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		decode := m.decoder()
		err := m.Scan(ctx, func(key, values []byte) bool { return yield(decode(key, values), nil) })
		if err != nil {
			yield(Entry{}, err)
		}
	}
}

// decoder reads an entry's bytes.
func (m *Map) decoder() func(key, values []byte) Entry {
	one := m.targets()
	if one == nil {
		one = m.value.Decode
	}
	return func(key, values []byte) Entry {
		e := Entry{Key: m.key.Decode(key), Values: make([]value.Value, m.cpus)}
		for i := range e.Values {
			at := len(values) / m.cpus * i
			e.Values[i] = one(values[at : at+m.ValueSize])
		}
		return e
	}
}

// Total is the sum of all values of a map of numbers, those of all keys and CPUs.
// Errors: [xdp.ErrInvalid] if the values aren't numbers.
func (m *Map) Total(ctx context.Context) (uint64, error) {
	if !m.Numeric() {
		return 0, &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("the values of map %s aren't numbers", m.Name)}
	}
	var total uint64
	for e, err := range m.Entries(ctx) {
		if err != nil {
			return 0, err
		}
		switch sum := value.Sum(e.Values).(type) {
		case value.Uint64:
			total += uint64(sum)
		case value.Int:
			total += uint64(sum)
		}
	}
	return total, nil
}

// batchBytes is how much one call reads at most. It reads more only if a bucket of a hash doesn't
// fit.
const batchBytes = 256 << 10

// errNotSupported is the kernel's ENOTSUPP. It is not meant for user space, but the kernel returns
// it all the same.
const errNotSupported = syscall.Errno(524)

// Scan calls yield with the bytes of each entry until that returns false. They are good until
// it returns. values are those of all possible CPUs, each rounded up to 8 bytes, in a per-CPU
// map. Errors are those of [Map.Entries].
func (m *Map) Scan(ctx context.Context, yield func(key, values []byte) bool) error {
	if err := m.Readable(); err != nil {
		return err
	}
	entry := m.KeySize + m.valueBytes()
	count := max(1, min(m.MaxEntries, batchBytes/max(1, entry)))
	var in []byte
	out := make([]byte, max(4, m.KeySize)) // the place in a hash is a bucket's number
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		keys, values := make([]byte, count*m.KeySize), make([]byte, count*m.valueBytes())
		n, err := libbpf.MapLookupBatch(m.fd.Int(), in, out, keys, values, count)
		switch {
		case errors.Is(err, syscall.ENOSPC) && count < m.MaxEntries:
			count = min(count*2, m.MaxEntries)
			continue
		case err == nil, errors.Is(err, syscall.ENOENT):
		case in == nil && noBatch(err):
			return m.step(ctx, yield)
		default:
			return m.explainRead(err)
		}
		for i := range n {
			if !yield(keys[i*m.KeySize:][:m.KeySize], values[i*m.valueBytes():][:m.valueBytes()]) {
				return nil
			}
		}
		if err != nil {
			return nil
		}
		in = append(in[:0], out...)
	}
}

// noBatch says whether the kernel can't read this type of map in batches.
func noBatch(err error) bool {
	return errors.Is(err, errNotSupported) || errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.EINVAL)
}

// step is Scan, key by key.
func (m *Map) step(ctx context.Context, yield func(key, values []byte) bool) error {
	var key []byte
	next, values := make([]byte, m.KeySize), make([]byte, m.valueBytes())
	// A key that goes meanwhile sends the kernel back to the first one, so the
	// number of steps is limited.
	for range m.MaxEntries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := libbpf.MapNextKey(m.fd.Int(), key, next); errors.Is(err, syscall.ENOENT) {
			return nil
		} else if err != nil {
			return m.explainRead(err)
		}
		key = append(key[:0], next...)
		err := libbpf.MapLookup(m.fd.Int(), key, values)
		if errors.Is(err, syscall.ENOENT) { // gone, or an empty place of an array
			continue
		}
		if err != nil {
			return m.explainRead(err)
		}
		if !yield(key, values) {
			return nil
		}
	}
	return nil
}

func (m *Map) explainRead(err error) error {
	switch {
	case errors.Is(err, syscall.EPERM):
		return privilege.Explain(err)
	case errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, errNotSupported), errors.Is(err, syscall.EINVAL): // a type of a later kernel
		return &xdp.Error{Kind: xdp.ErrInvalid, Err: err, Msg: fmt.Sprintf("map %s is a %s, which has no entries to read", m.Name, m.Type)}
	}
	return fmt.Errorf("read map %s: %w", m.Name, err)
}
