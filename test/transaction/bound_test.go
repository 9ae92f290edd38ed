package transaction

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// metadata is a program of metadata.bpf.c.
func metadata(name string, priority uint32) xdp.Program {
	p := fixture("metadata", name)
	p.Priority = prio(priority)
	return p
}

// seen is what a program of metadata.bpf.c has been told, by its place in the map.
type seen struct {
	packets, told, timestamp uint64
	hash                     uint32
	tci                      uint16
}

func seenBy(t *testing.T, progID, key uint32) seen {
	t.Helper()
	fd, err := libbpf.MapByID(harness.MapIDs(t, progID)[0])
	must(t, err)
	defer fd.Close()
	value := make([]byte, 32)
	must(t, libbpf.MapLookup(fd.Int(), binary.NativeEndian.AppendUint32(nil, key), value))
	return seen{binary.NativeEndian.Uint64(value), binary.NativeEndian.Uint64(value[8:]), binary.NativeEndian.Uint64(value[16:]),
		binary.NativeEndian.Uint32(value[24:]), binary.NativeEndian.Uint16(value[28:])}
}

// needsBinding ends a test early where the kernel binds no program to a device: there, a program
// that asks for metadata is refused with the kernel that it takes.
func needsBinding(t *testing.T) (has bool) {
	t.Helper()
	if !harness.KernelBefore(t, "6.3") {
		return true
	}
	v := harness.NewVeth(t)
	commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{fixture("verdicts", "v_pass")}})
	before := harness.Snapshot(t)
	_, err := dispatcher.Transaction{Add: []xdp.Program{metadata("ask_hash", 5)}}.Commit(t.Context(), v.Name)
	var e *xdp.Error
	if !errors.Is(err, xdp.ErrKernel) || !errors.As(err, &e) || !strings.Contains(e.Msg, "calls bpf_xdp_metadata_rx_hash, which this kernel doesn't have") || e.Remedy != "it takes Linux 6.3 or newer" {
		t.Errorf("%v; %q", err, e.Remedy)
	}
	before.Check(t)
	unload(t, v.Name)
	return false
}

// checkBound fails the test unless the chain is bound, and its programs are these.
func checkBound(t *testing.T, v *harness.Veth, version int, want ...string) *dispatcher.Chain {
	t.Helper()
	chain := status(t, v.Name)
	if got := names(chain); !slices.Equal(got, want) || !chain.DeviceBound || chain.Version != version {
		t.Fatalf("%v of version %d, bound: %t; want %v of version %d, bound", got, chain.Version, chain.DeviceBound, want, version)
	}
	checkPins(t, v)
	return chain
}

// TestBound has a program that asks for metadata join a chain, which is bound for that by one
// swap: the programs that run stay. It stays bound over all changes, in either version, until it
// is empty; and each time the driver tells the program its metadata.
func TestBound(t *testing.T) {
	harness.NoLeak(t)
	if !needsBinding(t) {
		return
	}
	for version := 2; version <= 3; version++ {
		t.Run(fmt.Sprintf("version %d", version), func(t *testing.T) {
			v := harness.NewVeth(t)
			front, behind := fixture("flood", "front"), fixture("flood", "behind")
			front.Priority, behind.Priority = prio(1), prio(90)
			was := commit(t, v.Name, dispatcher.Transaction{Version: version, Add: []xdp.Program{front, behind}}).Chain
			if was.DeviceBound {
				t.Error("a chain that nobody needs bound is")
			}
			done := commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{metadata("ask_hash", 10), metadata("ask_timestamp", 20), metadata("ask_nothing", 30)}})
			chain := checkBound(t, v, version, "front", "ask_hash", "ask_timestamp", "ask_nothing", "behind")
			if !reflect.DeepEqual(chain, done.Chain) {
				t.Errorf("status: %+v\nthe commit said %+v", chain, done.Chain)
			}
			if chain.Programs[0] != was.Programs[0] || chain.Programs[4] != was.Programs[1] {
				t.Errorf("%+v, and before %+v", chain.Programs, was.Programs)
			}
			ask := func(chain *dispatcher.Chain) {
				t.Helper()
				id := find(t, chain, "ask_hash")
				before := seenBy(t, id, 0)
				v.Deliver(t, harness.UDP4(harness.Flow{}))
				one := seenBy(t, id, 0)
				v.Deliver(t, harness.UDP4(harness.Flow{}))
				same := seenBy(t, id, 0)
				v.Deliver(t, harness.UDP4(harness.Flow{SrcPort: 4711}))
				other := seenBy(t, id, 0)
				if one.hash == 0 || one.hash != same.hash || other.hash == one.hash || other.told != before.told+3 {
					t.Errorf("the same flow has the hashes %#x and %#x, another %#x; told of %d packets", one.hash, same.hash, other.hash, other.told-before.told)
				}
			}
			ask(chain)
			if s := seenBy(t, find(t, chain, "ask_timestamp"), 1); s.told != 3 {
				t.Errorf("timestamp: %+v", s)
			}
			if got := harness.Counters(t, chain.Programs[4].ID); got[0] != 3 {
				t.Errorf("behind counted %d packets, want 3", got[0])
			}

			// Each kind of change keeps the binding.
			commit(t, v.Name, dispatcher.Transaction{Set: []dispatcher.Setting{{ID: chain.Programs[1].ID, Priority: prio(95)}}})
			ask(checkBound(t, v, version, "front", "ask_timestamp", "ask_nothing", "behind", "ask_hash"))
			commit(t, v.Name, dispatcher.Transaction{Replace: []dispatcher.Replacement{{ID: find(t, chain, "ask_hash"), Program: fixture("metadata", "ask_hash"), KeepMaps: true}}})
			ask(checkBound(t, v, version, "front", "ask_timestamp", "ask_nothing", "behind", "ask_hash"))
			commit(t, v.Name, dispatcher.Transaction{Version: 5 - version})
			ask(checkBound(t, v, 5-version, "front", "ask_timestamp", "ask_nothing", "behind", "ask_hash"))
			commit(t, v.Name, dispatcher.Transaction{Version: version})
			commit(t, v.Name, dispatcher.Transaction{Replace: []dispatcher.Replacement{{ID: find(t, chain, "ask_timestamp"), Program: fixture("verdicts", "v_pass")}}})
			checkBound(t, v, version, "front", "v_pass", "ask_nothing", "behind", "ask_hash")
			apply(t, v.Name, fixture("verdicts", "v_tx"), 99)
			ask(checkBound(t, v, version, "front", "v_pass", "ask_nothing", "behind", "ask_hash", "v_tx"))

			// Even without the program that needs it, until nothing is left.
			commit(t, v.Name, dispatcher.Transaction{Remove: []uint32{find(t, status(t, v.Name), "ask_hash")}})
			chain = checkBound(t, v, version, "front", "v_pass", "ask_nothing", "behind", "v_tx")
			for _, p := range chain.Programs {
				must(t, dispatcher.Detach(t.Context(), v.Name, p.ID, dispatcher.DetachOptions{}))
			}
			commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{front}})
			if status(t, v.Name).DeviceBound {
				t.Error("a new chain is bound still")
			}
			unload(t, v.Name)
		})
	}
}

// TestBoundSizes binds chains of one program, of two and of ten, with frags too.
func TestBoundSizes(t *testing.T) {
	harness.NoLeak(t)
	if !needsBinding(t) {
		return
	}
	v := harness.NewVeth(t)
	for _, n := range []int{1, 2, 10} {
		programs := []xdp.Program{metadata("ask_hash", 0)}
		for i := 1; i < n; i++ {
			programs = append(programs, metadata("metadata_pass", uint32(i)))
		}
		chain := commit(t, v.Name, dispatcher.Transaction{Add: programs}).Chain
		v.Deliver(t, harness.UDP4(harness.Flow{}))
		if s := seenBy(t, chain.Programs[0].ID, 0); s.told != 1 || s.hash == 0 || !chain.DeviceBound {
			t.Errorf("of %d: %+v", n, s)
		}
		unload(t, v.Name)
	}
	v.SetMTU(t, 9000)
	if chain := commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{metadata("ask_vlan", 0)}}).Chain; !chain.Frags || !chain.DeviceBound {
		t.Errorf("%+v", chain)
	}
	unload(t, v.Name)
}

// TestBoundMaps has programs that ask for metadata use maps by which one program runs another. The
// kernel lets them, and the program that is called needs no device.
func TestBoundMaps(t *testing.T) {
	harness.NoLeak(t)
	if !needsBinding(t) {
		return
	}
	v := harness.NewVeth(t)
	var programs []xdp.Program
	for _, name := range []string{"asks_and_redirects", "asks_for_processor", "asks_by_hash", "asks_and_calls"} {
		programs = append(programs, fixture("metadata_maps", name))
	}
	chain := commit(t, v.Name, dispatcher.Transaction{Add: programs}).Chain
	v.Deliver(t, harness.UDP4(harness.Flow{}))
	fd, err := libbpf.MapByID(harness.MapIDs(t, find(t, chain, "asks_and_calls"))[0])
	must(t, err)
	defer fd.Close()
	value := make([]byte, 8)
	must(t, libbpf.MapLookup(fd.Int(), binary.NativeEndian.AppendUint32(nil, 1), value))
	if n := binary.NativeEndian.Uint64(value); n != 1 {
		t.Errorf("the program that is called has counted %d packets, want 1", n)
	}
	unload(t, v.Name)
}

// TestBoundVLAN has the driver tell the VLAN tag, which the packet itself doesn't hold.
func TestBoundVLAN(t *testing.T) {
	harness.NoLeak(t)
	if !needsBinding(t) {
		return
	}
	v := harness.NewVeth(t)
	id := commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{metadata("ask_vlan", 0)}}).Added[0].ID
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex = v.Peer+".v", v.PeerIndex
	tagged := &netlink.Vlan{LinkAttrs: attrs, VlanId: 1234}
	must(t, netlink.LinkAdd(tagged))
	must(t, netlink.LinkSetUp(tagged))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd)
	must(t, unix.Sendto(fd, padded(frame(plain)), 0, &unix.SockaddrLinklayer{Ifindex: tagged.Index}))
	if !harness.Eventually(func() bool { return seenBy(t, id, 2).told > 0 }) || seenBy(t, id, 2).tci != 1234 {
		t.Errorf("%+v", seenBy(t, id, 2))
	}
	unload(t, v.Name)
}

// TestBoundShared puts one program into a chain that is bound and one that isn't, in either
// order, and into two that are bound to two devices. A program that asks for metadata can't be
// shared.
func TestBoundShared(t *testing.T) {
	harness.NoLeak(t)
	if !needsBinding(t) {
		return
	}
	a, b, c := harness.NewVeth(t), harness.NewVeth(t), harness.NewVeth(t)
	for _, v := range []*harness.Veth{a, b} {
		commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{metadata("ask_hash", 5)}})
	}
	for _, names := range [][]string{{a.Name, b.Name, c.Name}, {c.Name, b.Name, a.Name}} {
		done, err := dispatcher.AttachAll(t.Context(), names, []xdp.Program{fixture("adopt", "to_devices")}, dispatcher.AttachAllOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if done[0].Programs[0].ID != done[2].Programs[0].ID {
			t.Errorf("not shared: %+v", done)
		}
	}
	before := harness.Snapshot(t)
	_, err := dispatcher.AttachAll(t.Context(), []string{c.Name, a.Name}, []xdp.Program{metadata("ask_hash", 5)}, dispatcher.AttachAllOptions{})
	if !errors.Is(err, xdp.ErrInvalid) || !strings.Contains(err.Error(), "several interfaces can't share it") {
		t.Error(err)
	}
	before.Check(t)
	for _, v := range []*harness.Veth{a, b, c} {
		unload(t, v.Name)
	}
}

// TestBoundUntold loads a program onto a device whose driver has no metadata. It runs, and a
// warning says that it will be told nothing.
func TestBoundUntold(t *testing.T) {
	harness.NoLeak(t)
	if !needsBinding(t) {
		return
	}
	tap := harness.NewTap(t)
	var warned []string
	commit(t, tap, dispatcher.Transaction{Add: []xdp.Program{metadata("ask_timestamp", 5)}, Warn: func(err error) { warned = append(warned, err.Error()) }})
	want := "by bpf_xdp_metadata_rx_timestamp: the driver of " + tap + " has none"
	if !strings.Contains(strings.Join(warned, "\n"), want) || !status(t, tap).DeviceBound {
		t.Errorf("%q, want %q", warned, want)
	}
	unload(t, tap)
}

// TestBoundNative has the native tools of each libxdp meet a bound chain: they show it and clear
// it, refuse what would drop the binding, and leave the chain then. One that is bound by another
// tool, as libxdp 1.6 makes it, is changed as one of ours.
func TestBoundNative(t *testing.T) {
	harness.NoLeak(t)
	if !needsBinding(t) {
		return
	}
	v := harness.NewVeth(t)
	sid := harness.NativeLoader(t, "sid")
	for _, c := range []struct {
		tool    string
		version int
		leaves  bool // unload -i works
	}{{native, 2, false}, {harness.NativeLoader(t, "trixie"), 2, false}, {sid, 3, true}, {sid, 2, false}} {
		commit(t, v.Name, dispatcher.Transaction{Version: c.version, Add: []xdp.Program{metadata("ask_hash", 5), metadata("metadata_pass", 7)}})
		chain := checkBound(t, v, c.version, "ask_hash", "metadata_pass")
		if ours, theirs := harness.MustRun(t, harness.Xdpmux(), "status", v.Name), harness.MustRun(t, c.tool, "status", v.Name); ours != theirs {
			t.Errorf("status:\n%s\n%s status:\n%s", ours, c.tool, theirs)
		}
		before := harness.Snapshot(t)
		if stdout, stderr, exit := harness.Run(t, c.tool, "load", v.Name, absolute(t, "verdicts"), "-n", "v_pass"); exit == 0 {
			t.Errorf("%s joins a chain of version %d that is bound\n%s%s", c.tool, c.version, stdout, stderr)
		}
		before.Check(t)
		stdout, stderr, exit := harness.Run(t, c.tool, "unload", v.Name, "-i", fmt.Sprint(chain.Programs[1].ID))
		if (exit == 0) != c.leaves {
			t.Errorf("%s unload -i of version %d: exit status %d\n%s%s", c.tool, c.version, exit, stdout, stderr)
		}
		if c.leaves {
			checkBound(t, v, c.version, "ask_hash")
		} else {
			before.Check(t)
		}
		harness.MustRun(t, c.tool, "unload", v.Name, "-a")
		if status(t, v.Name).Dispatcher != nil {
			t.Errorf("%s has not cleared it", c.tool)
		}
	}

	f := harness.NewBound(t, v.Index)
	v.Attach(t, f.FD, harness.Native)
	for i := range f.Programs {
		f.Pin(t, fmt.Sprintf("/sys/fs/bpf/xdp/dispatch-%d-%d", v.Index, f.ID), i)
	}
	commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{metadata("ask_hash", 5)}})
	chain := checkBound(t, v, 3, "ask_hash", "xdp_pass", "xdp_pass")
	if chain.Programs[1].ID != f.Programs[0] || !chain.Programs[2].Frags {
		t.Errorf("%+v, and before %v", chain.Programs, f.Programs)
	}
	v.Deliver(t, harness.UDP4(harness.Flow{}))
	if s := seenBy(t, chain.Programs[0].ID, 0); s.told != 1 || s.hash == 0 {
		t.Errorf("%+v", s)
	}
	unload(t, v.Name)
}

// TestBoundUnderFlood binds a chain to its device, again and again: no packet gets past the
// guard in it, and each program counts each packet once.
func TestBoundUnderFlood(t *testing.T) {
	harness.NoLeak(t)
	if !needsBinding(t) {
		return
	}
	harness.FillShortcut(t)
	v := harness.NewVeth(t)
	front, guard, behind := fixture("flood", "front"), fixture("flood", "guard"), fixture("flood", "behind")
	front.Priority, guard.Priority, behind.Priority = prio(10), prio(20), prio(90)
	unbound := commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{front, guard, behind}}).Chain
	putBack := holdChain(t, unbound)
	before := received(t, v)
	stop := flood(t, v)
	turns := harness.Scaled(100, 4)
	var asked uint64
	for i := range turns {
		done := commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{metadata("ask_hash", 5)}})
		if !done.Chain.DeviceBound || !reflect.DeepEqual(done.Chain.Programs[1:], unbound.Programs) {
			t.Fatalf("turn %d: %+v", i, done.Chain)
		}
		putBack(v, done.Chain.Dispatcher.ID)
		asked += seenBy(t, done.Added[0].ID, 0).told
		_, err := dispatcher.Clean(t.Context(), dispatcher.CleanOptions{Interface: v.Name})
		must(t, err)
	}
	packets := stop() - before
	f, g, b := harness.Counters(t, unbound.Programs[0].ID), harness.Counters(t, unbound.Programs[1].ID), harness.Counters(t, unbound.Programs[2].ID)
	t.Logf("%d packets, %d turns, %d packets with a hash", packets, turns, asked)
	if f[0]+f[1] != packets {
		t.Errorf("front counted %d of %d packets", f[0]+f[1], packets)
	}
	if b[1] != 0 || g[1] != f[1] || b[0] != f[0] {
		t.Errorf("front counted %v, the guard %v, behind %v", f, g, b)
	}
	if asked < uint64(turns) {
		t.Errorf("only %d packets in bound chains: that proves nothing", asked)
	}
	unload(t, v.Name)
}

// holdChain holds a chain open, and returns what puts it back in the place of the dispatcher
// that came for it.
func holdChain(t *testing.T, chain *dispatcher.Chain) (putBack func(v *harness.Veth, instead uint32)) {
	t.Helper()
	hold := func(fd *libbpf.FD, err error) *libbpf.FD {
		must(t, err)
		t.Cleanup(func() { fd.Close() })
		return fd
	}
	main := hold(libbpf.ProgByID(chain.Dispatcher.ID))
	for i := range chain.Programs {
		hold(libbpf.ObjGet(fmt.Sprintf("%s/prog%d-link", chain.Pins, i)))
	}
	return func(v *harness.Veth, instead uint32) {
		t.Helper()
		fd, err := libbpf.ProgByID(instead)
		must(t, err)
		defer fd.Close()
		must(t, libbpf.XDPAttach(v.Index, main.Int(), libbpf.XDPNative|libbpf.XDPReplace, fd.Int()))
	}
}
