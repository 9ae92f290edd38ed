package observe

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// wanted are the structures of the kernel that the probes read, and their fields. To find them
// libbpf would read all types of the kernel, some megabytes, for each probe, while packets
// wait to be counted. So we read the kernel's types once, and write down the few wanted ones.
var wanted = []struct {
	name   string
	fields []string
}{
	{"xdp_buff", []string{"data", "data_end", "rxq"}},
	{"xdp_rxq_info", []string{"dev", "queue_index"}},
	{"net_device", []string{"ifindex", "nd_net"}},
	{"net", []string{"ns"}},
	{"task_struct", []string{"stack"}},
}

// within are the wanted fields of a structure that stands inside of those.
var within = map[string][]string{"ns_common": {"inum"}}

// kernelTypes are the wanted types in the kernel's format, BTF. If they are nil, libbpf has to
// look for itself.
var kernelTypes = sync.OnceValue(func() []byte {
	kernel, err := libbpf.LoadVmlinuxBTF()
	if err != nil {
		return nil
	}
	defer kernel.Close()
	data, err := extract(kernel)
	if err != nil {
		return nil
	}
	return data
})

// typesFile makes kernelTypes a file for the time of a load. It is nil if they are.
func typesFile() *os.File {
	types := kernelTypes()
	if types == nil {
		return nil
	}
	fd, err := unix.MemfdCreate("xdpmux-types", unix.MFD_CLOEXEC)
	if err != nil {
		return nil
	}
	f := os.NewFile(uintptr(fd), "xdpmux-types")
	if _, err := f.Write(types); err != nil {
		f.Close()
		return nil
	}
	return f
}

// extract writes down the wanted types of the kernel.
func extract(kernel *libbpf.BTF) ([]byte, error) {
	w := typeWriter{names: []byte{0}}
	for _, want := range wanted {
		id, err := kernel.Find(want.name, libbpf.KindStruct)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", want.name, err)
		}
		t, err := kernel.Type(id)
		if err != nil {
			return nil, err
		}
		if _, err := w.structure(kernel, t, want.fields); err != nil {
			return nil, err
		}
	}
	return w.bytes(), nil
}

// typeWriter writes the kernel's format of types (linux/btf.h).
type typeWriter struct {
	types []byte
	names []byte
	last  uint32
}

// put adds a type and returns its id.
func (w *typeWriter) put(name string, kind libbpf.Kind, members int, size uint32, rest ...uint32) uint32 {
	w.last++
	for _, n := range append([]uint32{w.name(name), uint32(kind)<<24 | uint32(members), size}, rest...) {
		w.types = binary.NativeEndian.AppendUint32(w.types, n)
	}
	return w.last
}

func (w *typeWriter) name(name string) uint32 {
	if name == "" {
		return 0
	}
	at := len(w.names)
	w.names = append(append(w.names, name...), 0)
	return uint32(at)
}

// structure adds a struct with these of its fields, or with all fields if it has no name.
func (w *typeWriter) structure(kernel *libbpf.BTF, t *libbpf.Type, fields []string) (uint32, error) {
	var rest []uint32
	for _, m := range t.Members {
		if t.Name != "" && !slices.Contains(fields, m.Name) {
			continue
		}
		id, err := w.typeOf(kernel, m.Type)
		if err != nil {
			return 0, fmt.Errorf("%s.%s: %w", t.Name, m.Name, err)
		}
		rest = append(rest, w.name(m.Name), id, uint32(m.BitOffset))
	}
	if t.Name != "" && len(rest) != 3*len(fields) {
		return 0, fmt.Errorf("struct %s has not all of the fields %v", t.Name, fields)
	}
	return w.put(t.Name, libbpf.KindStruct, len(rest)/3, uint32(t.Size), rest...), nil
}

// typeOf adds the type of a field. Of a pointer it adds only that it is one.
func (w *typeWriter) typeOf(kernel *libbpf.BTF, id uint32) (uint32, error) {
	t, err := kernel.Type(id)
	if err != nil {
		return 0, err
	}
	switch t.Kind {
	case libbpf.KindTypedef, libbpf.KindConst, libbpf.KindVolatile, libbpf.KindTypeTag:
		return w.typeOf(kernel, t.Ref)
	case libbpf.KindPtr:
		return w.put("", libbpf.KindPtr, 0, 0), nil
	case libbpf.KindInt:
		return w.put(t.Name, libbpf.KindInt, 0, uint32(t.Size), uint32(t.Bits)), nil
	case libbpf.KindStruct:
		return w.structure(kernel, t, within[t.Name])
	}
	return 0, fmt.Errorf("an unexpected type, of kind %d", t.Kind)
}

// bytes are the header, the types and their names.
func (w *typeWriter) bytes() []byte {
	var b bytes.Buffer
	header := struct {
		Magic             uint16
		Version, Flags    uint8
		HeaderLen         uint32
		TypesAt, TypesLen uint32
		NamesAt, NamesLen uint32
	}{0xeb9f, 1, 0, 24, 0, uint32(len(w.types)), uint32(len(w.types)), uint32(len(w.names))}
	binary.Write(&b, binary.NativeEndian, header) // to memory, of a fixed size
	b.Write(w.types)
	b.Write(w.names)
	return b.Bytes()
}
