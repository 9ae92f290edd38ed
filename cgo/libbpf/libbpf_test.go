package libbpf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

const (
	countFile  = "../../build/bpf/xdp_count.o"
	pinnedFile = "../../build/bpf/fixtures/pinned.o"
)

func open(t *testing.T, file string, opts libbpf.OpenOptions) *libbpf.Object {
	t.Helper()
	o, err := libbpf.OpenFile(file, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

// TestObject loads an object from a file and from memory, and looks at what it
// holds before and behind the load.
func TestObject(t *testing.T) {
	harness.NoLeak(t)
	data, err := os.ReadFile(countFile)
	if err != nil {
		t.Fatal(err)
	}
	o, err := libbpf.OpenMem(data, libbpf.OpenOptions{Name: "counter"})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	clear(data) // libbpf has copied it
	if o.Name() != "counter" || !o.HasBTF() || o.BTF() == nil {
		t.Errorf("object %q", o.Name())
	}
	p, m := o.FindProgram("xdp_count"), o.FindMap("packets")
	if len(o.Programs()) != 1 || len(o.Maps()) != 1 || o.FindProgram("packets") != nil || o.FindMap("xdp_count") != nil {
		t.Errorf("%d programs, %d maps", len(o.Programs()), len(o.Maps()))
	}
	if p.Name() != "xdp_count" || p.Section() != "xdp" || p.Type() != libbpf.ProgTypeXDP || p.Type().String() != "xdp" || p.Insns() == 0 || !p.Autoload() || p.FD() >= 0 {
		t.Errorf("program %s in %s of type %s", p.Name(), p.Section(), p.Type())
	}
	if m.Name() != "packets" || m.Type() != libbpf.MapTypePerCPUArray || !m.Type().PerCPU() || m.Type().String() != "percpu_array" || m.KeySize() != 4 || m.ValueSize() != 8 || m.MaxEntries() != 1 || m.PinPath() != "" || m.Internal() {
		t.Errorf("map %s of type %s", m.Name(), m.Type())
	}
	if err := o.Load(); err != nil {
		t.Fatal(err)
	}
	info, err := libbpf.ProgInfoByFD(p.FD())
	if err != nil {
		t.Fatal(err)
	}
	mapInfo, err := libbpf.MapInfoByFD(m.FD())
	if err != nil {
		t.Fatal(err)
	}
	if info.Name != "xdp_count" || info.Type != libbpf.ProgTypeXDP || !slices.Equal(info.MapIDs, []uint32{mapInfo.ID}) || info.BTFID == 0 || info.LoadTime == 0 || len(info.Tag.String()) != 16 || !info.GPLCompatible {
		t.Errorf("program %+v, map %+v", info, mapInfo)
	}
	if mapInfo.Name != "packets" || mapInfo.BTFValueTypeID == 0 {
		t.Errorf("map %+v", mapInfo)
	}
	insns, err := libbpf.ProgInsns(p.FD())
	if err != nil || len(insns) != int(info.TranslatedBytes) || len(insns) == 0 {
		t.Errorf("%d bytes of instructions, %v", len(insns), err)
	}
	btf, err := libbpf.LoadBTF(info.BTFID)
	if err != nil {
		t.Fatal(err)
	}
	defer btf.Close()
	id, err := libbpf.ProgFuncType(p.FD())
	if err != nil || btf.TypeName(id) != "xdp_count" {
		t.Errorf("main function %q, %v", btf.TypeName(id), err)
	}
	if found, err := btf.Find("xdp_count", libbpf.KindFunc); err != nil || found != id {
		t.Errorf("found %d, %v, want %d", found, err, id)
	}
	if _, err := btf.Find("nosuchfunction", libbpf.KindFunc); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("a function that isn't there: %v", err)
	}
}

// TestTestRun counts the runs in the program's per-CPU map.
func TestTestRun(t *testing.T) {
	harness.NoLeak(t)
	o := open(t, countFile, libbpf.OpenOptions{})
	if err := o.Load(); err != nil {
		t.Fatal(err)
	}
	frame := harness.UDP4(harness.Flow{PayloadLen: 100})
	result, err := libbpf.TestRun(o.Programs()[0].FD(), libbpf.TestRunOptions{Data: frame, Out: make([]byte, len(frame)), Repeat: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if result.Return != 2 || !bytes.Equal(result.Data, frame) || result.Size != len(frame) {
		t.Errorf("%+v", result)
	}
	short, err := libbpf.TestRun(o.Programs()[0].FD(), libbpf.TestRunOptions{Data: frame, Out: make([]byte, 20)})
	if !errors.Is(err, syscall.ENOSPC) || short.Size != len(frame) || !bytes.Equal(short.Data, frame[:20]) {
		t.Errorf("with room for 20 bytes: %v, %d bytes of %d", err, len(short.Data), short.Size)
	}
	cpus, err := libbpf.NumPossibleCPUs()
	if err != nil {
		t.Fatal(err)
	}
	values, total := make([]byte, 8*cpus), uint64(0)
	if err := libbpf.MapLookup(o.Maps()[0].FD(), make([]byte, 4), values); err != nil {
		t.Fatal(err)
	}
	for i := range cpus {
		total += binary.NativeEndian.Uint64(values[8*i:])
	}
	if total != 1001 {
		t.Errorf("counted %d runs on %d CPUs, want 1001", total, cpus)
	}
}

// TestIDs walks over the ids of each kind, and opens what was just made by its id.
func TestIDs(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	m, err := libbpf.CreateMap(libbpf.MapTypeArray, "test", 4, 4, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	prog := harness.Program(t, harness.Pass)
	link, err := libbpf.LinkCreate(prog, v.Index, libbpf.AttachXDP, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	mapInfo, err1 := libbpf.MapInfoByFD(m.Int())
	progInfo, err2 := libbpf.ProgInfoByFD(prog)
	linkInfo, err3 := libbpf.LinkInfoByFD(link.Int())
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind string
		id   uint32
		next func(uint32) (uint32, error)
		open func(uint32) (*libbpf.FD, error)
	}{
		{"program", progInfo.ID, libbpf.NextProgID, libbpf.ProgByID},
		{"map", mapInfo.ID, libbpf.NextMapID, libbpf.MapByID},
		{"link", linkInfo.ID, libbpf.NextLinkID, libbpf.LinkByID},
	} {
		found := false
		for id := uint32(0); ; {
			next, err := c.next(id)
			if errors.Is(err, syscall.ENOENT) {
				break
			}
			if err != nil || next <= id {
				t.Fatalf("%s: %d behind %d, %v", c.kind, next, id, err)
			}
			id = next
			found = found || id == c.id
		}
		fd, err := c.open(c.id)
		if err != nil || !found {
			t.Errorf("%s %d: found %t, %v", c.kind, c.id, found, err)
		}
		if err := errors.Join(fd.Close(), fd.Close()); err != nil || fd.Int() != -1 {
			t.Errorf("closed: %d, %v", fd.Int(), err)
		}
	}
}

// TestPins pins a map by its object, and opens it again.
func TestPins(t *testing.T) {
	harness.NoLeak(t)
	o := open(t, pinnedFile, libbpf.OpenOptions{PinRoot: "/sys/fs/bpf/libbpf-test"})
	m := o.Maps()[0]
	if m.PinPath() != "/sys/fs/bpf/libbpf-test/pinned_packets" || m.Pinned() {
		t.Errorf("pin path %q", m.PinPath())
	}
	for _, p := range o.Programs() {
		// libbpf 1.1 knows "xdp" and no longer names that begin with it.
		if err := errors.Join(p.SetAutoload(p.Name() == "good"), p.SetType(libbpf.ProgTypeXDP)); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Load(); err != nil {
		t.Fatal(err)
	}
	defer os.Remove("/sys/fs/bpf/libbpf-test")
	fd, err := libbpf.ObjGet(m.PinPath())
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	one, err1 := libbpf.MapInfoByFD(fd.Int())
	two, err2 := libbpf.MapInfoByFD(m.FD())
	if err := errors.Join(err1, err2); err != nil || one.ID != two.ID || !m.Pinned() {
		t.Errorf("pinned %+v, want %+v (%v)", one, two, err)
	}
	if err := m.Unpin(m.PinPath()); err != nil {
		t.Error(err)
	}
	if _, err := libbpf.ObjGet("/sys/fs/bpf/libbpf-test/pinned_packets"); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("after the unpin: %v", err)
	}
}

// TestVerifierLog holds that a refused load tells what the verifier said, and
// nothing on stderr.
func TestVerifierLog(t *testing.T) {
	harness.NoLeak(t)
	o := open(t, pinnedFile, libbpf.OpenOptions{LogSize: 1 << 20, PinRoot: "/sys/fs/bpf"})
	for _, p := range o.Programs() {
		if err := p.SetType(libbpf.ProgTypeXDP); err != nil {
			t.Fatal(err)
		}
	}
	var said strings.Builder
	libbpf.SetLog(libbpf.LogWarn, func(_ libbpf.LogLevel, text string) { said.WriteString(text) })
	defer libbpf.SetLog(0, nil)
	err := o.Load()
	var e *libbpf.Error
	if !errors.As(err, &e) || e.Op != "bpf_object__load" || !errors.Is(err, syscall.EACCES) || !strings.Contains(e.Log, "invalid access to map value") {
		t.Errorf("got %#v", err)
	}
	if !strings.Contains(said.String(), "refused") {
		t.Errorf("libbpf said %q", said.String())
	}
}

// TestErrors holds that a failed call names itself and its errno.
func TestErrors(t *testing.T) {
	harness.NoLeak(t)
	for _, c := range []struct {
		want error
		text string
		call func() error
	}{
		{syscall.ENOENT, "bpf_object__open_file: no such file or directory", func() error { _, err := libbpf.OpenFile("nosuchfile", libbpf.OpenOptions{}); return err }},
		{libbpf.ErrnoFormat, "bpf_object__open_mem: BPF object format invalid", func() error { _, err := libbpf.OpenMem([]byte("text"), libbpf.OpenOptions{}); return err }},
		{syscall.ENOENT, "bpf_prog_get_fd_by_id: no such file or directory", func() error { _, err := libbpf.ProgByID(1 << 30); return err }},
		{syscall.ENOENT, "bpf_map_get_fd_by_id: no such file or directory", func() error { _, err := libbpf.MapByID(1 << 30); return err }},
		{syscall.ENOENT, "bpf_link_get_fd_by_id: no such file or directory", func() error { _, err := libbpf.LinkByID(1 << 30); return err }},
		{syscall.ENOENT, "bpf_prog_get_next_id: no such file or directory", func() error { _, err := libbpf.NextProgID(1 << 30); return err }},
		{syscall.ENOENT, "bpf_obj_get: no such file or directory", func() error { _, err := libbpf.ObjGet("/sys/fs/bpf/nosuchpin"); return err }},
		{syscall.EINVAL, "bpf_obj_pin: invalid argument", func() error { return libbpf.ObjPin(999, "/sys/fs/bpf/x") }},
		{syscall.ENODEV, "bpf_xdp_attach: no such device", func() error { return libbpf.XDPAttach(1<<30, -1, 0, -1) }},
	} {
		err := c.call()
		if !errors.Is(err, c.want) || err.Error() != c.text {
			t.Errorf("got %v, want %s", err, c.text)
		}
	}
	unsupported := &libbpf.UnsupportedError{Op: "bpf_xdp_query", Needs: "libbpf 1.2"}
	if !errors.Is(unsupported, errors.ErrUnsupported) || unsupported.Error() != "bpf_xdp_query: needs libbpf 1.2" {
		t.Error(unsupported)
	}
}
