package device

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Device is an interface and what the kernel says of its XDP programs, from one
// netlink query.
type Device struct {
	xdp.Interface
	Mtu      int
	Attached bool
	Mode     xdp.Mode // of the main program; hw where there is only an offloaded one
	ProgID   uint32   // the main program, native or skb; 0: none
	HwID     uint32   // the offloaded program, which may be there beside the main one; 0: none
}

// maxAltName is how long an alternative name can be, with the NUL (ALTIFNAMSIZ).
const maxAltName = 128

// ByName asks the kernel for one interface, by its name or by an alternative one. The result
// has its proper name.
func ByName(name string) (Device, error) {
	kind := unix.IFLA_IFNAME // for short alternative names too
	if len(name) >= unix.IFNAMSIZ {
		kind = unix.IFLA_ALT_IFNAME
	}
	if name == "" || len(name) >= maxAltName {
		return Device{}, NoInterface(name, nil)
	}
	return one(name, appendAttr(request(0, 0), kind, append([]byte(name), 0)))
}

// InterfaceByIndex stands for InterfaceByIndex of package dispatcher.
func InterfaceByIndex(index int) (xdp.Interface, error) {
	l, err := ByIndex(index, fmt.Sprint("number ", index))
	return l.Interface, err
}

// ByIndex is ByName for an index; name is only what to call it where there is none.
func ByIndex(index int, name string) (Device, error) {
	return one(name, request(0, index))
}

// ErrAnother says that an interface of another name has the index.
var ErrAnother = errors.New("an interface of another name has the index")

// Again asks the kernel for l anew. The error is [xdp.ErrNoInterface] if the interface is gone
// or has another name, and if another interface has its index by now.
func (l Device) Again() (Device, error) {
	now, err := ByIndex(l.Index, l.Name)
	if err == nil && now.Name != l.Name {
		return Device{}, &xdp.Error{Kind: xdp.ErrNoInterface, Err: ErrAnother,
			Msg:    fmt.Sprintf("interface %q is gone: its index %d is now that of %q", l.Name, l.Index, now.Name),
			Remedy: "name the interface that is meant, as it is called now"}
	}
	return now, err
}

func one(name string, request []byte) (Device, error) {
	all, err := query(request)
	switch {
	case errors.Is(err, syscall.ENODEV), err == nil && len(all) == 0:
		return Device{}, NoInterface(name, err)
	case err != nil:
		return Device{}, fmt.Errorf("look up interface %s: %w", name, err)
	}
	return all[0], nil
}

func NoInterface(name string, err error) error {
	return &xdp.Error{Kind: xdp.ErrNoInterface,
		Msg:    fmt.Sprintf("no interface %q in this network namespace", name),
		Remedy: "ip link lists the interfaces",
		Err:    err}
}

// Interfaces stands for Interfaces of package dispatcher.
func Interfaces() ([]xdp.Interface, error) {
	all, err := All()
	if err != nil {
		return nil, err
	}
	list := make([]xdp.Interface, len(all))
	for i, l := range all {
		list[i] = l.Interface
	}
	return list, nil
}

// All asks for all interfaces in one dump, in the kernel's order. A dump that
// the kernel marks as interrupted by a change is asked for again.
func All() ([]Device, error) {
	for try := 0; ; try++ {
		all, err := query(request(unix.NLM_F_DUMP, 0))
		if errors.Is(err, errInterrupted) && try < 10 {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list interfaces: %w", err)
		}
		return all, nil
	}
}

// parse reads a RTM_NEWLINK message: the header (struct ifinfomsg) and
// attributes.
func parse(msg []byte) Device {
	l := Device{Mode: xdp.ModeUnspecified}
	if len(msg) < unix.SizeofIfInfomsg {
		return l
	}
	l.Index = int(int32(binary.NativeEndian.Uint32(msg[4:])))
	eachAttr(msg[unix.SizeofIfInfomsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.Name = unix.ByteSliceToString(value)
		case unix.IFLA_MTU:
			l.Mtu = int(attrUint32(value))
		case unix.IFLA_XDP:
			l.parseXDP(value)
		}
	})
	return l
}

// The attributes of IFLA_XDP that carry a program's id for each mode
// (linux/if_link.h). IFLA_XDP_PROG_ID is there only where one program is.
const (
	xdpNativeID = 5
	xdpSKBID    = 6
	xdpHWID     = 7
)

func (l *Device) parseXDP(attrs []byte) {
	eachAttr(attrs, func(kind uint16, value []byte) {
		id := attrUint32(value)
		switch {
		case id == 0:
		case kind == xdpNativeID:
			l.ProgID, l.Mode = id, xdp.ModeNative
		case kind == xdpSKBID:
			l.ProgID, l.Mode = id, xdp.ModeSKB
		case kind == xdpHWID:
			l.HwID = id
		}
	})
	l.Attached = l.ProgID != 0 || l.HwID != 0
	if l.ProgID == 0 && l.HwID != 0 {
		l.Mode = xdp.ModeHW
	}
}

// eachAttr calls f for each netlink attribute in b.
func eachAttr(b []byte, f func(kind uint16, value []byte)) {
	for len(b) >= unix.SizeofRtAttr {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtAttr || size > len(b) {
			return
		}
		f(binary.NativeEndian.Uint16(b[2:])&nl.NLA_TYPE_MASK, b[unix.SizeofRtAttr:size])
		b = b[min(len(b), (size+unix.NLA_ALIGNTO-1)&^(unix.NLA_ALIGNTO-1)):]
	}
}

func attrUint32(value []byte) uint32 {
	if len(value) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(value)
}
