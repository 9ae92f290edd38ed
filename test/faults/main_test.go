// Package faults puts xdpmux in front of everything that can be wrong with an
// interface, a chain or a machine, and looks at what it says.
package faults

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/test/kernel"
)

func TestMain(m *testing.M) { kernel.Main(m) }

func ours() string {
	if path := os.Getenv("XDPMUX"); path != "" {
		return path
	}
	return "xdpmux"
}

// sample and object are the paths of what make has built.
func sample(name string) string { return "../../build/bpf/" + name + ".o" }
func object(name string) string { return "../../build/bpf/fixtures/" + name + ".o" }

// foreign is a dispatcher with two programs that neither libxdp nor xdpmux has put
// on an interface.
type foreign struct {
	fd, id int
	parts  []*libbpf.Object
	links  []*libbpf.FD
}

// newForeign loads a dispatcher of that version of the protocol, with programs of
// priorities 7 and 9, the actions XDP_PASS and XDP_PASS+XDP_TX, and frags for the
// second.
func newForeign(t *testing.T, version int) *foreign {
	t.Helper()
	obj := open(t, object(fmt.Sprintf("dispatcher-%d", version)))
	value := []byte{2, 0, 0, 0}
	fields := [][10]uint32{{1 << 2, 1<<2 | 1<<3}, {7, 9}}
	if version > 1 {
		value = []byte{236, byte(version), 2, 0}
		fields = append(fields, [10]uint32{0, libbpf.FlagXDPHasFrags})
	}
	for _, field := range fields {
		for _, v := range field {
			value = binary.NativeEndian.AppendUint32(value, v)
		}
	}
	check(t, obj.Maps()[0].SetInitialValue(value))
	check(t, obj.Load())
	f := &foreign{fd: obj.Programs()[0].FD()}
	f.id = int(progID(t, f.fd))
	for _, function := range []string{"prog0", "prog1"} {
		part := open(t, sample("xdp_pass"))
		prog := part.Programs()[0]
		check(t, prog.SetType(libbpf.ProgTypeExt))
		check(t, prog.SetExpectedAttachType(0))
		check(t, prog.SetAttachTarget(f.fd, function))
		check(t, part.Load())
		link, err := libbpf.LinkCreate(prog.FD(), 0, 0, 0, 0)
		check(t, err)
		t.Cleanup(func() { link.Close() })
		f.parts, f.links = append(f.parts, part), append(f.links, link)
	}
	return f
}

// pin pins program and link of a part as libxdp does, in dir.
func (f *foreign) pin(t *testing.T, dir string, part int) {
	t.Helper()
	check(t, os.MkdirAll(dir, 0o700))
	check(t, libbpf.ObjPin(f.parts[part].Programs()[0].FD(), filepath.Join(dir, fmt.Sprintf("prog%d-prog", part))))
	check(t, libbpf.ObjPin(f.links[part].Int(), filepath.Join(dir, fmt.Sprintf("prog%d-link", part))))
	t.Cleanup(func() { os.RemoveAll(dir) })
}

func (f *foreign) partID(t *testing.T, part int) uint32 {
	return progID(t, f.parts[part].Programs()[0].FD())
}

func open(t *testing.T, path string) *libbpf.Object {
	t.Helper()
	obj, err := libbpf.OpenFile(path, libbpf.OpenOptions{})
	check(t, err)
	t.Cleanup(func() { obj.Close() })
	return obj
}

func progID(t *testing.T, fd int) uint32 {
	t.Helper()
	info, err := libbpf.ProgInfoByFD(fd)
	check(t, err)
	return info.ID
}

// linkTo holds a program on an interface by a bpf_link, until the test ends.
func linkTo(t *testing.T, progFD, ifindex int) *libbpf.FD {
	t.Helper()
	link, err := libbpf.LinkCreate(progFD, ifindex, libbpf.AttachXDP, 0, 0)
	check(t, err)
	t.Cleanup(func() { link.Close() })
	return link
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// decode reads JSON that has no field which T lacks.
func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return v
}

func fmtID(id uint32) string { return fmt.Sprint(id) }

// counted is the sum over all CPUs of the only map of the program with that id.
func counted(t *testing.T, id uint32) (total int) {
	t.Helper()
	fd, err := libbpf.ProgByID(id)
	check(t, err)
	defer fd.Close()
	info, err := libbpf.ProgInfoByFD(fd.Int())
	check(t, err)
	m, err := libbpf.MapByID(info.MapIDs[0])
	check(t, err)
	defer m.Close()
	cpus, err := libbpf.NumPossibleCPUs()
	check(t, err)
	values := make([]byte, 8*cpus)
	check(t, libbpf.MapLookup(m.Int(), make([]byte, 4), values))
	for ; len(values) > 0; values = values[8:] {
		total += int(binary.NativeEndian.Uint64(values))
	}
	return total
}
