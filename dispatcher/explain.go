package dispatcher

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// VerifierLog is what the verifier wrote about the program that it refused. It is found
// anywhere in err; empty: there is none.
func VerifierLog(err error) string {
	var e *libbpf.Error
	if errors.As(err, &e) {
		return e.Log
	}
	return ""
}

// attempt is what the kernel was asked for.
type attempt struct {
	mode  xdp.Mode
	over  bool // a chain is there, whose mode can't be chosen any more
	off   bool // nothing comes in its place
	frags bool // what comes takes packets of several buffers
}

// explainSwap finds the fault behind a failed step of a swap, unless the error says it
// itself.
func explainSwap(l device.Device, a attempt, err error, said []string) error {
	var explained *xdp.Error
	if errors.As(err, &explained) || errors.Is(err, errLostRace) {
		return err
	}
	if errors.Is(err, syscall.ENODEV) {
		return device.NoInterface(l.Name, err)
	}
	return explainAttach(l, a, err, said)
}

// explainAttach finds the fault behind a failed attach. The kernel answers the same errno to
// several faults. So explainAttach looks at the interface, and at the words that the kernel
// has sent along.
func explainAttach(l device.Device, a attempt, err error, said []string) error {
	l, lookErr := l.Again()
	switch {
	case lookErr != nil:
		return lookErr // it has gone meanwhile
	case errors.Is(err, syscall.EPERM):
		return privilege.Explain(err)
	case errors.Is(err, syscall.EBUSY), errors.Is(err, syscall.EEXIST):
		return explainBusy(l, a, err, said)
	}
	if refused := explainDriver(l, a, err, said); refused != nil {
		return refused
	}
	switch {
	case a.mode == xdp.ModeNative && errors.Is(err, syscall.EOPNOTSUPP):
		return modeNotSupported(l, a.mode, err).Advise("try another mode: %v", skb)
	case a.mode == xdp.ModeHW && (errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.EINVAL)):
		return modeNotSupported(l, a.mode, err).Advise("try another mode: %v or %v", xdp.Hint{To: xdp.HintMode, Mode: xdp.ModeNative}, skb)
	}
	return (&xdp.Error{Kind: xdp.ErrSystem, Err: err, Msg: fmt.Sprintf("can't attach to %s: %s", l.Name, native.Cause(err))}).
		Advise("%v", xdp.Hint{To: xdp.HintLibxdpLog})
}

func modeNotSupported(l device.Device, mode xdp.Mode, err error) *xdp.Error {
	return &xdp.Error{Kind: xdp.ErrModeNotSupported, Err: err, Msg: fmt.Sprintf("%s can't run XDP programs in %s mode", l.Name, mode)}
}

// skb is the mode that every driver can do.
var skb = xdp.Hint{To: xdp.HintMode, Mode: xdp.ModeSKB}

// explainBusy finds the fault behind EBUSY and EEXIST, which the kernel answers to several
// faults. If it is none of the others, it was a race.
func explainBusy(l device.Device, a attempt, err error, said []string) error {
	for _, check := range []func(device.Device) error{checkHeld, checkLegacy} {
		if fault := check(l); fault != nil {
			return fault
		}
	}
	if l.Attached && l.Mode != xdp.ModeUnspecified && a.mode != xdp.ModeUnspecified && l.Mode != a.mode {
		return modeMismatch(l, a.mode)
	}
	if refused := explainDriver(l, a, err, said); refused != nil {
		return refused
	}
	return lostRace(l, err)
}

func lostRace(l device.Device, err error) error {
	return &xdp.Error{Kind: xdp.ErrBusy, Err: err,
		Msg:    fmt.Sprintf("what is on %s was changed by others meanwhile", l.Name),
		Remedy: "try again"}
}
