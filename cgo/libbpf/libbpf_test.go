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
	"time"

	"golang.org/x/sys/unix"

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

// TestLinks puts programs on an interface by a link, and looks at it.
func TestLinks(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	one, two := harness.Program(t, harness.Pass), harness.Program(t, harness.Drop)
	id := func(fd int) uint32 {
		info, err := libbpf.ProgInfoByFD(fd)
		if err != nil {
			t.Fatal(err)
		}
		return info.ID
	}
	l, err := libbpf.LinkCreate(one, v.Index, libbpf.AttachXDP, uint32(libbpf.XDPSKB), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	check := func(prog int, ifindex int) {
		t.Helper()
		info, err := libbpf.LinkInfoByFD(l.Int())
		if err != nil || info.Type != libbpf.LinkTypeXDP || info.ProgID != id(prog) || info.Ifindex != ifindex {
			t.Errorf("%+v, %v", info, err)
		}
	}
	check(one, v.Index)
	if err := libbpf.LinkUpdate(l.Int(), two, libbpf.LinkReplace, two); !errors.Is(err, syscall.EPERM) {
		t.Errorf("replaced what isn't there: %v", err)
	}
	if err := libbpf.LinkUpdate(l.Int(), two, libbpf.LinkReplace, one); err != nil {
		t.Error(err)
	}
	check(two, v.Index)
	if err := libbpf.LinkUpdate(l.Int(), one, 0, 0); err != nil {
		t.Error(err)
	}
	state, err := libbpf.XDPQuery(v.Index)
	if err != nil || state.AttachMode != libbpf.XDPAttachedSKB || state.SKBProgID != id(one) {
		t.Errorf("%+v, %v", state, err)
	}
	if err := libbpf.LinkDetach(l.Int()); err != nil {
		t.Error(err)
	}
	check(one, 0)
	if state, err := libbpf.XDPQuery(v.Index); err != nil || state.AttachMode != libbpf.XDPAttachedNone {
		t.Errorf("%+v, %v", state, err)
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

// TestRingBuffer reads the ring buffers of two programs, each with its own function.
func TestRingBuffer(t *testing.T) {
	harness.NoLeak(t)
	var programs, rings []int
	for range 2 {
		o := open(t, "../../build/bpf/fixtures/maps.o", libbpf.OpenOptions{})
		if err := o.Load(); err != nil {
			t.Fatal(err)
		}
		// The program writes to its ring buffer if there is an entry of key 0.
		if err := libbpf.MapUpdate(o.FindMap("large").FD(), make([]byte, 4), make([]byte, 8), libbpf.UpdateAny); err != nil {
			t.Fatal(err)
		}
		programs = append(programs, o.FindProgram("count_maps").FD())
		rings = append(rings, o.FindMap("a_ring").FD())
	}
	var got [2][]uint32
	read := func(i int) func([]byte) {
		return func(record []byte) { got[i] = append(got[i], binary.NativeEndian.Uint32(record)) }
	}
	r, err := libbpf.NewRingBuffer(rings[0], read(0))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Add(rings[1], read(1)); err != nil {
		t.Fatal(err)
	}
	if err := r.Add(-1, read(1)); !errors.Is(err, unix.EBADFD) {
		t.Errorf("a ring buffer that isn't one: %v", err)
	}
	ready := func(wait time.Duration) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(r.EpollFD()), Events: unix.POLLIN}}, int(wait.Milliseconds()))
		return n == 1 && err == nil
	}
	run := func(i int, port uint16) {
		t.Helper()
		if _, err := libbpf.TestRun(programs[i], libbpf.TestRunOptions{Data: harness.UDP4(harness.Flow{DstPort: port})}); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := r.Poll(0); n != 0 || err != nil || ready(0) {
		t.Errorf("before any record: %d, %v", n, err)
	}
	const limit = 10 * time.Second
	run(0, 7)
	if !ready(limit) {
		t.Error("there is a record, and the descriptor can't be read from")
	}
	run(1, 8)
	run(0, 9)
	if n, err := r.Consume(); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	run(1, 10)
	if n, err := r.Poll(limit); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if !slices.Equal(got[0], []uint32{7, 9}) || !slices.Equal(got[1], []uint32{8, 10}) {
		t.Errorf("%v", got)
	}
	if err := errors.Join(r.Close(), r.Close()); err != nil {
		t.Error(err)
	}
}

// TestDevice loads a program for a device: bound to it, which the kernel can from Linux 6.3
// on, and offloaded to it, which no veth can.
func TestDevice(t *testing.T) {
	harness.NoLeak(t)
	v, other := harness.NewVeth(t), harness.NewVeth(t)
	load := func(flags uint32) (fd int, err error) {
		o := open(t, "../../build/bpf/xdp_pass.o", libbpf.OpenOptions{})
		p := o.FindProgram("xdp_pass")
		p.SetIfindex(v.Index)
		if err := p.SetFlags(flags); err != nil || p.Flags() != flags {
			t.Fatalf("flags %#x: %v", p.Flags(), err)
		}
		err = o.Load()
		return p.FD(), err
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	fd, err := load(libbpf.FlagXDPDevBoundOnly)
	switch {
	case strings.HasPrefix(unix.ByteSliceToString(name.Release[:]), "6.1."):
		if !errors.Is(err, syscall.EINVAL) {
			t.Errorf("bound to a device: %v", err)
		}
	case err != nil:
		t.Error(err)
	default:
		if err := libbpf.XDPAttach(other.Index, fd, libbpf.XDPNative, -1); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("attached to another device than the one it is bound to: %v", err)
		}
		if err := libbpf.XDPAttach(v.Index, fd, libbpf.XDPNative, -1); err != nil {
			t.Error(err)
		}
	}
	if _, err := load(0); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("offloaded to a veth: %v", err)
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
	if !errors.As(err, &e) || e.Op != "bpf_object__load" || !errors.Is(err, syscall.EACCES) || !strings.Contains(e.Log, "invalid mem access 'map_value_or_null'") {
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

// TestXDP attaches with and without the expected old program, and queries.
func TestXDP(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	one, two := harness.Program(t, harness.Pass), harness.Program(t, harness.Drop)
	if err := libbpf.XDPAttach(v.Index, one, libbpf.XDPNative|libbpf.XDPUpdateIfNoExist, -1); err != nil {
		t.Fatal(err)
	}
	if err := libbpf.XDPAttach(v.Index, two, libbpf.XDPNative|libbpf.XDPUpdateIfNoExist, -1); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("attached over another: %v", err)
	}
	if err := libbpf.XDPAttach(v.Index, two, libbpf.XDPNative|libbpf.XDPReplace, two); !errors.Is(err, syscall.EEXIST) {
		t.Errorf("replaced what isn't there: %v", err)
	}
	if err := libbpf.XDPAttach(v.Index, two, libbpf.XDPNative|libbpf.XDPReplace, one); err != nil {
		t.Error(err)
	}
	info, err := libbpf.ProgInfoByFD(two)
	if err != nil {
		t.Fatal(err)
	}
	state, err := libbpf.XDPQuery(v.Index)
	if err != nil || state.ProgID != info.ID || state.NativeProgID != info.ID || state.SKBProgID != 0 || state.AttachMode != libbpf.XDPAttachedNative {
		t.Errorf("%+v, %v, want program %d", state, err, info.ID)
	}
	if err := libbpf.XDPAttach(v.Index, -1, libbpf.XDPNative, -1); err != nil {
		t.Error(err)
	}
	if _, _, err := libbpf.XDPFeatures(v.Index); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("features: %v", err)
	}
}
