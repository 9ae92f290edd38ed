package harness

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// These functions speak bpf(2) themselves, so that a test doesn't check xdpmux by its own code.

// bpf is the system call. attr holds one variant of union bpf_attr.
func bpf(cmd int, attr unsafe.Pointer, size uintptr) (int, error) {
	for {
		r, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(cmd), uintptr(attr), size)
		switch errno {
		case 0:
			return int(r), nil
		case unix.EAGAIN, unix.EINTR: // the verifier gives way to a signal
		default:
			return -1, errno
		}
	}
}

// objectKind is one of the kernel's three lists of BPF objects.
type objectKind struct {
	name        string
	next, open  int
	nameInInfo  int // offset of the name in struct bpf_prog_info etc.; 0: has none
	infoCommand int
}

const mapKind = "map"

var objectKinds = []objectKind{
	{"program", unix.BPF_PROG_GET_NEXT_ID, unix.BPF_PROG_GET_FD_BY_ID, 64, unix.BPF_OBJ_GET_INFO_BY_FD},
	{mapKind, unix.BPF_MAP_GET_NEXT_ID, unix.BPF_MAP_GET_FD_BY_ID, 24, unix.BPF_OBJ_GET_INFO_BY_FD},
	{"link", unix.BPF_LINK_GET_NEXT_ID, unix.BPF_LINK_GET_FD_BY_ID, 0, 0},
}

// bpfObjects lists every program, map and link of the kernel.
func bpfObjects() ([]string, error) {
	var list []string
	for _, kind := range objectKinds {
		ids, err := kind.ids()
		if err != nil {
			return nil, fmt.Errorf("list of BPF %ss: %w", kind.name, err)
		}
		for _, id := range ids {
			// The name is for people; an object that goes meanwhile has none. Maps are
			// named when they are reported: the kernel loses a program array that
			// somebody opens by its id just as it goes.
			name := ""
			if kind.name != mapKind {
				name = kind.nameOf(id)
			}
			list = append(list, fmt.Sprintf("%s %d%s", kind.name, id, name))
		}
	}
	return list, nil
}

// withMapNames adds their names to the maps in a report.
func withMapNames(diff []string) (named []string) {
	for _, line := range diff {
		var id uint32
		if n, _ := fmt.Sscanf(line, "new: "+mapKind+" %d", &id); n == 1 {
			line += objectKinds[1].nameOf(id)
		}
		named = append(named, line)
	}
	return named
}

func (k objectKind) ids() ([]uint32, error) {
	var ids []uint32
	attr := struct{ start, next, flags uint32 }{}
	for {
		_, err := bpf(k.next, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
		if errors.Is(err, unix.ENOENT) {
			return ids, nil
		} else if err != nil {
			return nil, err
		}
		ids = append(ids, attr.next)
		attr.start = attr.next
	}
}

func (k objectKind) nameOf(id uint32) string {
	if k.nameInInfo == 0 {
		return ""
	}
	open := struct{ id, next, flags uint32 }{id: id}
	fd, err := bpf(k.open, unsafe.Pointer(&open), unsafe.Sizeof(open))
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	info := make([]byte, k.nameInInfo+unix.BPF_OBJ_NAME_LEN)
	var pin runtime.Pinner
	pin.Pin(&info[0])
	defer pin.Unpin()
	attr := struct {
		fd, len uint32
		info    uint64
	}{uint32(fd), uint32(len(info)), uint64(uintptr(unsafe.Pointer(&info[0])))}
	if _, err := bpf(k.infoCommand, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil {
		return ""
	}
	if name := unix.ByteSliceToString(info[k.nameInInfo:]); name != "" {
		return " " + name
	}
	return ""
}

// Action is the verdict of an XDP program, enum xdp_action.
type Action uint32

// The verdicts.
const (
	Aborted Action = iota
	Drop
	Pass
	TX
)

// Program loads an XDP program that does nothing but return the action. It has neither BTF nor
// a name: to libxdp it is a legacy program. Program returns its descriptor, which is closed at
// the end of the test.
func Program(t testing.TB, action Action) (fd int) {
	t.Helper()
	insns := [2]uint64{
		0xb7 | uint64(action)<<32, // r0 = action
		0x95,                      // exit
	}
	return loadXDP(t, "", insns[:])
}

// OddDispatcher loads an XDP program that passes everything and has the name of libxdp's
// dispatcher. Its only map holds that value.
func OddDispatcher(t testing.TB, value []byte) (fd int) {
	t.Helper()
	config, err := libbpf.CreateMap(libbpf.MapTypeArray, "config", 4, len(value), 1, 0)
	if err != nil {
		t.Fatalf("a map with values of %d bytes: %v", len(value), err)
	}
	defer config.Close()
	if err := libbpf.MapUpdate(config.Int(), make([]byte, 4), value, libbpf.UpdateAny); err != nil {
		t.Fatal(err)
	}
	insns := [4]uint64{
		0x18 | 1<<8 | 1<<12 | uint64(config.Int())<<32, 0, // r1 = the map
		0xb7 | uint64(Pass)<<32, // r0 = XDP_PASS
		0x95,                    // exit
	}
	return loadXDP(t, "xdp_dispatcher", insns[:])
}

// loadXDP loads an XDP program of that name, without BTF. It returns the descriptor, which is
// closed at the end of the test.
func loadXDP(t testing.TB, name string, insns []uint64) (fd int) {
	t.Helper()
	license := []byte("GPL\x00")
	var pin runtime.Pinner
	pin.Pin(&insns[0])
	pin.Pin(&license[0])
	defer pin.Unpin()
	attr := struct {
		progType, insnCnt  uint32
		insns, license     uint64
		logLevel, logSize  uint32
		logBuf             uint64
		kernVersion, flags uint32
		name               [unix.BPF_OBJ_NAME_LEN]byte
	}{progType: unix.BPF_PROG_TYPE_XDP, insnCnt: uint32(len(insns)),
		insns: uint64(uintptr(unsafe.Pointer(&insns[0]))), license: uint64(uintptr(unsafe.Pointer(&license[0])))}
	copy(attr.name[:], name)
	fd, err := bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err != nil {
		t.Fatalf("load an XDP program: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// Mode is how an XDP program is attached.
type Mode int

// The attach modes that a veth has.
const (
	Native = Mode(unix.XDP_FLAGS_DRV_MODE)
	SKB    = Mode(unix.XDP_FLAGS_SKB_MODE)
)

func (m Mode) String() string {
	switch m {
	case Native:
		return "native"
	case SKB:
		return "skb"
	}
	return fmt.Sprintf("mode %#x", int(m))
}

// Attach attaches a program to the interface without a dispatcher: a legacy
// program. Descriptor -1 takes it away.
func (v *Veth) Attach(t testing.TB, fd int, mode Mode) {
	t.Helper()
	if err := v.TryAttach(fd, mode); err != nil {
		t.Fatal(err)
	}
}

// TryAttach is Attach for a program that the kernel may refuse.
func (v *Veth) TryAttach(fd int, mode Mode) error { return v.attach(v.Index, v.Name, fd, mode) }

// AcceptReturned has the peer take in what a native program returns with XDP_TX. A veth does so
// only if it has a native program itself, so the peer gets one that passes everything. Without
// it, such frames stay in the peer's ring, unseen.
func (v *Veth) AcceptReturned(t testing.TB) {
	t.Helper()
	if err := v.attach(v.PeerIndex, v.Peer, Program(t, Pass), Native); err != nil {
		t.Fatal(err)
	}
}

func (v *Veth) attach(index int, name string, fd int, mode Mode) error {
	flags := int(mode)
	if fd >= 0 {
		flags |= unix.XDP_FLAGS_UPDATE_IF_NOEXIST
	}
	err := v.inNetns(func() error {
		return netlink.LinkSetXdpFdWithFlags(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: index}}, fd, flags)
	})
	if err != nil {
		return fmt.Errorf("attach a program to %s in %v mode: %w", name, mode, err)
	}
	return nil
}
