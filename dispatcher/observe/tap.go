package observe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// attachTap attaches the probe of an interface without a program, to a packet socket.
func (t *tracer) attachTap(which probe, config packetConfig) error {
	ifindex, name := t.chain.Interface.Index, t.chain.Interface.Name
	link, err := netlink.LinkByIndex(ifindex)
	if err != nil {
		return err
	}
	if kind := link.Attrs().EncapType; kind != "ether" && kind != "loopback" {
		return &xdp.Error{Kind: xdp.ErrModeNotSupported, Msg: fmt.Sprintf("the packets of %s are no Ethernet frames (%s)", name, kind)}
	}
	which.object, which.config, which.filter, which.programs = "packet", config, t.filter, []string{"tap"}
	p, _, err := which.load(nil)
	if err == nil {
		var socket *libbpf.FD
		if socket, err = openTap(ifindex, p.exit.FD()); err == nil {
			p.links = append(p.links, socket)
			t.packet, t.probes = p, append(t.probes, p)
			return nil
		}
		p.close()
	}
	return &xdp.Error{Kind: xdp.ErrKernel, Err: err, Msg: fmt.Sprintf("the kernel gives no packet socket of %s: %s", name, native.Cause(err))}
}

// openTap has the program look at each packet that the interface receives.
func openTap(ifindex, program int) (_ *libbpf.FD, err error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	socket := libbpf.NewFD(fd)
	defer func() {
		if err != nil {
			err = errors.Join(err, socket.Close())
		}
	}()
	for _, option := range []struct{ level, name, value int }{
		{unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1},
		{unix.SOL_SOCKET, unix.SO_ATTACH_BPF, program},
	} {
		if err := unix.SetsockoptInt(fd, option.level, option.name, option.value); err != nil {
			return nil, os.NewSyscallError("setsockopt", err)
		}
	}
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	return socket, os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifindex}))
}
