package device

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/internal/proc"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
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
	eth0 := Device{Interface: xdp.Interface{Name: "eth0", Index: 7}, Mtu: 1500, Mode: xdp.ModeUnspecified}
	with := func(mode xdp.Mode, prog, hw uint32) Device {
		l := eth0
		l.Attached, l.Mode, l.ProgID, l.HwID = true, mode, prog, hw
		return l
	}
	for name, c := range map[string]struct {
		msg  []byte
		want Device
	}{
		"nothing":        {message(attr(attached, []byte{0})), eth0},
		"native":         {message(attr(attached, []byte{1}), number(progID, 5), number(xdpNativeID, 5)), with(xdp.ModeNative, 5, 0)},
		"skb":            {message(attr(attached, []byte{2}), number(progID, 5), number(xdpSKBID, 5)), with(xdp.ModeSKB, 5, 0)},
		"hw":             {message(attr(attached, []byte{3}), number(progID, 5), number(xdpHWID, 5)), with(xdp.ModeHW, 0, 5)},
		"native and hw":  {message(attr(attached, []byte{4}), number(xdpNativeID, 5), number(xdpHWID, 6)), with(xdp.ModeNative, 5, 6)},
		"hw and skb":     {message(attr(attached, []byte{4}), number(xdpHWID, 6), number(xdpSKBID, 5)), with(xdp.ModeSKB, 5, 6)},
		"cut off":        {message(number(xdpNativeID, 5))[:46], eth0},
		"not even there": {nil, Device{Mode: xdp.ModeUnspecified}},
	} {
		if got := parse(c.msg); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestMountsIn(t *testing.T) {
	const mountinfo = `30 23 0:4 net:[4026532008] /run/netns/a\040b rw shared:9 - nsfs nsfs rw
31 23 0:27 / /proc rw,nosuid - proc proc rw,hidepid=invisible
`
	want := []proc.Mount{{Root: "net:[4026532008]", Point: "/run/netns/a b", Kind: "nsfs", Options: "rw"},
		{Root: "/", Point: "/proc", Kind: "proc", Options: "rw,hidepid=invisible"}}
	if got := proc.MountsIn(mountinfo); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	for text, want := range map[string]uint64{"net:[4026532008]": 4026532008, "mnt:[7]": 0, "net:[x]": 0, "/run": 0} {
		if inode, ok := netnsInode(text); inode != want || ok != (want != 0) {
			t.Errorf("%s is %d, %v", text, inode, ok)
		}
	}
}
