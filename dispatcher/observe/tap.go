package observe

import (
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// tap is a packet socket that receives what one interface does.
type tap struct {
	fd      int
	dropped uint64
	data    []byte
	oob     []byte
}

// tapBuffer is how many bytes of packets may wait in the kernel.
const tapBuffer = 4 << 20

func openTap(ifindex int) (_ *tap, err error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	t := &tap{fd: fd, data: make([]byte, SnapLen), oob: make([]byte, 256)}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.close())
		}
	}()
	for _, option := range []struct{ level, name, value int }{
		{unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1},
		{unix.SOL_PACKET, unix.PACKET_AUXDATA, 1},
		{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1},
		{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, tapBuffer},
	} {
		if err := unix.SetsockoptInt(fd, option.level, option.name, option.value); err != nil {
			return nil, os.NewSyscallError("setsockopt", err)
		}
	}
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	return t, os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifindex}))
}

// receive waits that long for a packet. It returns nil if none has come.
func (t *tap) receive(wait time.Duration) (*Arrival, error) {
	ready := []unix.PollFd{{Fd: int32(t.fd), Events: unix.POLLIN}}
	if _, err := unix.Poll(ready, int(wait.Milliseconds())); err != nil && err != unix.EINTR {
		return nil, os.NewSyscallError("poll", err)
	}
	n, oobn, _, _, err := unix.Recvmsg(t.fd, t.data, t.oob, unix.MSG_TRUNC)
	switch err {
	case nil:
	case unix.EAGAIN, unix.EINTR, unix.ENETDOWN: // ENETDOWN: the interface was set down
		return nil, nil
	default:
		return nil, os.NewSyscallError("recvmsg", err)
	}
	a := &Arrival{Time: time.Now(), Length: n, Data: slices.Clone(t.data[:min(n, len(t.data))])}
	messages, err := unix.ParseSocketControlMessage(t.oob[:oobn])
	if err != nil {
		return nil, os.NewSyscallError("recvmsg", err)
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS:
			var at unix.Timespec
			if _, err := binary.Decode(m.Data, binary.NativeEndian, &at); err == nil {
				a.Time = time.Unix(at.Unix())
			}
		case m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA:
			var aux unix.TpacketAuxdata
			if _, err := binary.Decode(m.Data, binary.NativeEndian, &aux); err == nil && aux.Status&unix.TP_STATUS_VLAN_VALID != 0 {
				a.tag(aux)
			}
		}
	}
	return a, nil
}

// tag puts the VLAN tag back that the kernel has taken out of the packet. A program sees it in its
// place, unless the card has taken it out.
func (a *Arrival) tag(aux unix.TpacketAuxdata) {
	const addresses = 12
	if len(a.Data) < addresses {
		return
	}
	tpid := uint16(unix.ETH_P_8021Q)
	if aux.Status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
		tpid = aux.Vlan_tpid
	}
	tag := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, tpid), aux.Vlan_tci)
	a.Data = slices.Insert(a.Data, addresses, tag...)
	a.Length += len(tag)
}

// lost is how many packets had no room in the socket.
func (t *tap) lost() uint64 {
	if s, err := unix.GetsockoptTpacketStats(t.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		t.dropped += uint64(s.Drops) // the kernel begins anew with each call
	}
	return t.dropped
}

func (t *tap) close() error { return os.NewSyscallError("close", unix.Close(t.fd)) }
