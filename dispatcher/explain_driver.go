package dispatcher

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// explainDriver says why a driver, or the kernel before it, refused a program for the
// interface, or the end of one. It quotes their words if they had any. nil: it is another fault.
func explainDriver(l device.Device, a attempt, err error, said []string) error {
	words := kernelReason(said)
	lower := strings.ToLower(words)
	e := &xdp.Error{Kind: xdp.ErrModeNotSupported, Err: err}
	switch {
	case errors.Is(err, syscall.ERANGE), strings.Contains(lower, "mtu"), strings.Contains(lower, "jumbo"):
		explainMTU(e, l, a, lower)
	case slices.Contains(raceWords, words), strings.HasSuffix(lower, noXDPWords):
		return nil
	case words == "" && (a.mode == xdp.ModeHW || !refusedByDriver(err)):
		return nil
	case words == "":
		e.Msg = fmt.Sprintf("the driver of %s refuses an XDP program, and says no more than: %s", l.Name, native.Cause(err))
		e.Advise("dmesg may have its reason, often the number of queues or rings, which ethtool -l %s and -g %s show; or use %v", l.Name, l.Name, skb)
	case strings.Contains(lower, hostOffloadWords):
		e.Msg = fmt.Sprintf("the hypervisor gives the card of %s offloads that XDP can't do with and that the guest can't switch off", l.Name)
		e.Advise("use %v; or have the hypervisor let the guest switch them off (qemu: ctrl_guest_offloads=on), "+
			"or not have them (guest_csum=off, guest_tso4=off, guest_tso6=off, guest_ecn=off, guest_ufo=off)", skb)
	case queueWords().MatchString(words):
		e.Msg = fmt.Sprintf("%s has not the queues or rings that its driver needs for XDP", l.Name)
		e.Advise("ethtool -l %s and -g %s show them, -L and -G change them; or use %v", l.Name, l.Name, skb)
	default:
		e.Msg = fmt.Sprintf("the kernel refuses an XDP program on %s", l.Name)
		e.Advise("change what it names, or use %v", skb)
	}
	if words != "" {
		e.Msg += " (" + words + ")"
	}
	return e
}

// explainMTU says that the MTU is too large for what was asked for, and what would do. lower is
// what the driver said, in lower case.
func explainMTU(e *xdp.Error, l device.Device, a attempt, lower string) {
	if a.off {
		e.Msg = fmt.Sprintf("the driver of %s takes no XDP program off while the MTU is %d", l.Name, l.Mtu)
		e.Advise("lower the MTU, and raise it again without the program")
		return
	}
	what := "the MTU of " + l.Name
	if driver := l.Driver(); driver == "veth" || driver == "" {
		what += ", or of its other end," // a veth's limit depends on that
	}
	program := "a program without frags support"
	if a.frags {
		program = "any XDP program"
	}
	e.Msg = fmt.Sprintf("%s is too large for %s; %s has %d", what, program, l.Name, l.Mtu)
	remedies, hints := []string{"lower the MTU"}, []any{}
	if f, err := l.XDPFeatures(); !a.frags {
		switch {
		case err != nil && !strings.Contains(lower, "frags"): // the kernel is too old to tell
			remedies = append(remedies, `put every program of the chain into SEC("xdp.frags") if the driver takes that`)
		case err != nil || f.RxSG():
			remedies = append(remedies, `put every program of the chain into SEC("xdp.frags")`)
		}
	}
	if !a.over { // else the chain has its mode
		remedies, hints = append(remedies, "use %v"), append(hints, skb)
	}
	e.Advise(alternatives(remedies), hints...)
}

// hostOffloadWords are what virtio_net says of a card whose guest can't control its offloads, in
// lower case.
const hostOffloadWords = "while host is implementing"

// refusedByDriver says whether the attach itself failed, with an errno that drivers answer.
func refusedByDriver(err error) bool {
	var e *libbpf.Error
	return errors.As(err, &e) && e.Op == "bpf_xdp_attach" &&
		slices.Contains([]syscall.Errno{syscall.EINVAL, syscall.ENOMEM, syscall.ENOSPC, syscall.EOPNOTSUPP}, e.Errno)
}

// raceWords are what the kernel says when another process was faster.
var raceWords = []string{"XDP program already attached", "Active program does not match expected"}

// noXDPWords are what the kernel says of a driver without XDP, in lower case.
const noXDPWords = "driver does not support xdp in native mode"

// queueWords are how drivers call their queues and rings.
var queueWords = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(queue|ring|channel|[rt]xq)s?\b`)
})

// kernelReason is what the kernel said last to a netlink request; empty: nothing.
func kernelReason(said []string) string {
	for i := len(said) - 1; i >= 0; i-- {
		if words, ok := strings.CutPrefix(said[i], native.KernelWords); ok {
			return strings.TrimSpace(words)
		}
	}
	return ""
}
