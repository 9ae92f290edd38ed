package device

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A change of an interface asks the kernel for it four times, so that a question must cost little.
// The netlink library takes twelve system calls and 64 KiB of new memory for each.

// skipStats (RTEXT_FILTER_SKIP_STATS) keeps the kernel from summing up counters
// over all processors for each interface.
const skipStats = 1 << 3

// request begins a RTM_GETLINK request (rtnetlink(7)). Attributes may be appended to it. index 0
// stands for no interface.
func request(flags uint16, index int) []byte {
	b := make([]byte, unix.SizeofNlMsghdr+unix.SizeofIfInfomsg, 128)
	binary.NativeEndian.PutUint16(b[4:], unix.RTM_GETLINK)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|flags)
	binary.NativeEndian.PutUint32(b[unix.SizeofNlMsghdr+4:], uint32(index))
	return appendAttr(b, unix.IFLA_EXT_MASK, binary.NativeEndian.AppendUint32(nil, skipStats))
}

// appendAttr appends a netlink attribute, and what pads it.
func appendAttr(b []byte, kind int, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, uint16(kind))
	b = append(b, value...)
	return append(b, make([]byte, -len(value)&(unix.NLA_ALIGNTO-1))...)
}

// answers are buffers for what the kernel answers. It writes no more into one message of a dump
// than 32 KiB, and of one interface less.
var answers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// errInterrupted says that interfaces came or went during a dump.
var errInterrupted = errors.New("interfaces came or went meanwhile")

var errCutOff = errors.New("the answer is cut off")

// query sends a request, and reads of each interface the few attributes that are needed. To
// decode a dump of thousands of interfaces in full would cost more than everything else
// together. The socket is of the network namespace that the calling thread is in now.
func query(request []byte) ([]Device, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	binary.NativeEndian.PutUint32(request, uint32(len(request)))
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, os.NewSyscallError("sendto", err)
	}
	buffer := answers.Get().(*[64 << 10]byte)
	defer answers.Put(buffer)
	var a answer
	for !a.done {
		n, from, err := unix.Recvfrom(fd, buffer[:], unix.MSG_TRUNC)
		switch sender, _ := from.(*unix.SockaddrNetlink); {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, os.NewSyscallError("recvfrom", err)
		case n > len(buffer):
			return nil, fmt.Errorf("an answer of %d bytes, which is too long", n)
		case sender == nil || sender.Pid != 0:
			continue // it isn't of the kernel
		}
		if err := a.read(buffer[:n]); err != nil {
			return nil, err
		}
	}
	if a.interrupted {
		return nil, errInterrupted
	}
	return a.all, nil
}

// answer is what the kernel has answered so far.
type answer struct {
	all         []Device
	interrupted bool // the parts of a dump may not fit together
	done        bool
}

// read reads netlink messages (netlink(7)).
func (a *answer) read(b []byte) error {
	for len(b) >= unix.SizeofNlMsghdr && !a.done {
		size, kind, flags := int(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:])
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return errCutOff
		}
		data := b[unix.SizeofNlMsghdr:size]
		b = b[min(len(b), (size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1)):]
		a.interrupted = a.interrupted || flags&unix.NLM_F_DUMP_INTR != 0
		switch kind {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR: // both may have an errno
			a.done = true
			if errno := int32(attrUint32(data)); errno != 0 {
				return unix.Errno(-errno)
			}
		case unix.RTM_NEWLINK:
			a.all = append(a.all, parse(data))
			a.done = flags&unix.NLM_F_MULTI == 0
		}
	}
	return nil
}
