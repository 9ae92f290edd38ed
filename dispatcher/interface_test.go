package dispatcher

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// attr is a netlink attribute as the kernel writes it.
func attr(kind uint16, value []byte) []byte {
	size := unix.SizeofRtAttr + len(value)
	b := binary.NativeEndian.AppendUint16(nil, uint16(size))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, -size&3)...)
}

func number(kind uint16, n uint32) []byte {
	return attr(kind, binary.NativeEndian.AppendUint32(nil, n))
}

func TestParseLink(t *testing.T) {
	const attached, progID = 2, 4 // IFLA_XDP_ATTACHED, IFLA_XDP_PROG_ID
	message := func(attrs ...[]byte) []byte {
		head := make([]byte, unix.SizeofIfInfomsg)
		binary.NativeEndian.PutUint32(head[4:], 7)
		return slices.Concat(head, attr(unix.IFLA_IFNAME, []byte("eth0\x00")), number(unix.IFLA_MTU, 1500), attr(unix.IFLA_XDP|unix.NLA_F_NESTED, slices.Concat(attrs...)))
	}
	eth0 := link{Interface: Interface{Name: "eth0", Index: 7}, mtu: 1500, mode: ModeUnspecified}
	with := func(mode Mode, prog, hw uint32) link {
		l := eth0
		l.attached, l.mode, l.progID, l.hwID = true, mode, prog, hw
		return l
	}
	for name, c := range map[string]struct {
		msg  []byte
		want link
	}{
		"nothing":        {message(attr(attached, []byte{0})), eth0},
		"native":         {message(attr(attached, []byte{1}), number(progID, 5), number(xdpNativeID, 5)), with(ModeNative, 5, 0)},
		"skb":            {message(attr(attached, []byte{2}), number(progID, 5), number(xdpSKBID, 5)), with(ModeSKB, 5, 0)},
		"hw":             {message(attr(attached, []byte{3}), number(progID, 5), number(xdpHWID, 5)), with(ModeHW, 0, 5)},
		"native and hw":  {message(attr(attached, []byte{4}), number(xdpNativeID, 5), number(xdpHWID, 6)), with(ModeNative, 5, 6)},
		"hw and skb":     {message(attr(attached, []byte{4}), number(xdpHWID, 6), number(xdpSKBID, 5)), with(ModeSKB, 5, 6)},
		"cut off":        {message(number(xdpNativeID, 5))[:46], eth0},
		"not even there": {nil, link{mode: ModeUnspecified}},
	} {
		if got := parseLink(c.msg); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestBPFFSIn(t *testing.T) {
	const mountinfo = `24 30 0:22 / /sys rw,nosuid shared:7 - sysfs sysfs rw
31 24 0:27 / /sys/fs/bpf rw,nosuid shared:9 - bpf bpf rw,mode=700
40 30 0:35 / /run/my\040fs rw - bpf none rw
41 30 0:36 / /tmp/bpf rw - tmpfs bpf rw
`
	if got, want := bpffsIn(mountinfo), []string{"/sys/fs/bpf", "/run/my fs"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestMountsIn(t *testing.T) {
	const mountinfo = `30 23 0:4 net:[4026532008] /run/netns/a\040b rw shared:9 - nsfs nsfs rw
31 23 0:27 / /proc rw,nosuid - proc proc rw,hidepid=invisible
`
	want := []mount{{root: "net:[4026532008]", point: "/run/netns/a b", kind: "nsfs", options: "rw"},
		{root: "/", point: "/proc", kind: "proc", options: "rw,hidepid=invisible"}}
	if got := mountsIn(mountinfo); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	for text, want := range map[string]uint64{"net:[4026532008]": 4026532008, "mnt:[7]": 0, "net:[x]": 0, "/run": 0} {
		if inode, ok := netnsInode(text); inode != want || ok != (want != 0) {
			t.Errorf("%s is %d, %v", text, inode, ok)
		}
	}
}

func TestKernelReason(t *testing.T) {
	said := []string{"libxdp: one", kernelWords + "first", kernelWords + "last", "libxdp: two"}
	if got := kernelReason(said); got != "last" {
		t.Errorf("%q", got)
	}
	if got := kernelReason(said[:1]); got != "" {
		t.Errorf("%q", got)
	}
}
