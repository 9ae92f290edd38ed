package device

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// message is a netlink message as the kernel writes it.
func message(kind, flags uint16, data []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(data)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = append(b, make([]byte, 8)...)
	b = append(b, data...)
	return append(b, make([]byte, -len(data)&3)...)
}

func TestAnswer(t *testing.T) {
	link := func(flags uint16, name string) []byte {
		return message(unix.RTM_NEWLINK, flags, append(make([]byte, unix.SizeofIfInfomsg), attr(unix.IFLA_IFNAME, []byte(name+"\x00"))...))
	}
	errno := func(kind uint16, e unix.Errno) []byte {
		return message(kind, 0, binary.NativeEndian.AppendUint32(nil, -uint32(e)))
	}
	const part = unix.NLM_F_MULTI
	for name, c := range map[string]struct {
		answer      []byte
		names       []string
		interrupted bool
		done        bool
		err         error
	}{
		"one":                 {answer: link(0, "eth0"), names: []string{"eth0"}, done: true},
		"a part of a dump":    {answer: slices.Concat(link(part, "eth0"), link(part, "eth12")), names: []string{"eth0", "eth12"}},
		"its end":             {answer: slices.Concat(link(part, "eth0"), errno(unix.NLMSG_DONE, 0)), names: []string{"eth0"}, done: true},
		"an interrupted dump": {answer: slices.Concat(link(part|unix.NLM_F_DUMP_INTR, "eth0"), errno(unix.NLMSG_DONE, 0)), names: []string{"eth0"}, interrupted: true, done: true},
		"a failed dump":       {answer: slices.Concat(link(part, "eth0"), errno(unix.NLMSG_DONE, unix.ENOMEM)), names: []string{"eth0"}, done: true, err: unix.ENOMEM},
		"no interface":        {answer: errno(unix.NLMSG_ERROR, unix.ENODEV), done: true, err: unix.ENODEV},
		"cut off":             {answer: link(0, "eth0")[:20], err: errCutOff},
		"a length of nothing": {answer: make([]byte, 16), err: errCutOff},
	} {
		var a answer
		err := a.read(c.answer)
		var names []string
		for _, l := range a.all {
			names = append(names, l.Name)
		}
		if !errors.Is(err, c.err) || !slices.Equal(names, c.names) || a.interrupted != c.interrupted || a.done != c.done {
			t.Errorf("%s: %v, interrupted %v, done %v, error %v; want %+v", name, names, a.interrupted, a.done, err, c)
		}
	}
}

// The loopback interface is there for whoever asks, by its name and its number, and in a dump.
func TestQuery(t *testing.T) {
	lo, err := ByName("lo")
	if err != nil || lo.Name != "lo" || lo.Index == 0 || lo.Mtu == 0 {
		t.Fatalf("lo is %+v: %v", lo, err)
	}
	if again, err := lo.Again(); err != nil || again != lo {
		t.Errorf("by its number it is %+v: %v", again, err)
	}
	all, err := All()
	if err != nil || !slices.Contains(all, lo) {
		t.Errorf("it isn't in %+v: %v", all, err)
	}
	if n := testing.AllocsPerRun(50, func() { _, _ = lo.Again() }); n > 20 {
		t.Errorf("a question takes %v allocations", n)
	}
}
