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
// interface. It quotes their words if they had any. nil: it is another fault.
func explainDriver(l device.Device, mode xdp.Mode, err error, said []string) error {
	words := kernelReason(said)
	lower := strings.ToLower(words)
	e := &xdp.Error{Kind: xdp.ErrModeNotSupported, Err: err}
	switch {
	case errors.Is(err, syscall.ERANGE), strings.Contains(lower, "mtu"), strings.Contains(lower, "jumbo"):
		// A veth's limit depends on the MTU of its other end.
		e.Msg = fmt.Sprintf("the MTU of %s, or of its other end, is too large for a program without frags support; %s has %d", l.Name, l.Name, l.Mtu)
		e.Advise(`lower the MTU, put every program of the chain into SEC("xdp.frags"), or use %v`, skb)
	case slices.Contains(raceWords, words), strings.HasSuffix(lower, noXDPWords):
		return nil
	case words == "" && (mode == xdp.ModeHW || !refusedByDriver(err)):
		return nil
	case words == "":
		e.Msg = fmt.Sprintf("the driver of %s refuses an XDP program, and says no more than: %s", l.Name, native.Cause(err))
		e.Advise("dmesg may have its reason, often the number of queues or rings, which ethtool -l %s and -g %s show; or use %v", l.Name, l.Name, skb)
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
