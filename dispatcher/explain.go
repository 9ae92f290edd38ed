package dispatcher

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// VerifierLog is what the verifier wrote about the program that it refused, from
// anywhere in err; empty if there is nothing.
func VerifierLog(err error) string {
	var e *libbpf.Error
	if errors.As(err, &e) {
		return e.Log
	}
	return ""
}

// explainAttach finds the fault behind a failed attach. libxdp answers EBUSY,
// EINVAL and EPERM to several faults each, so it looks at the chain, the
// verifier's logs and at what libxdp said.
func explainAttach(l device.Device, all []*object.Program, mode xdp.Mode, err error, said []string) error {
	for _, o := range all {
		if log := o.Obj.VerifierLog(); log != "" && !errors.Is(err, syscall.EPERM) {
			return object.ExplainVerifier(o, log, err)
		}
	}
	for _, o := range all {
		if fault := object.ExplainKernelFunctions(o, err); fault != nil {
			return fault
		}
		if fault := object.ExplainPinnedMaps(o, err); fault != nil {
			return fault
		}
	}
	now, lookErr := l.Again()
	if lookErr != nil {
		return lookErr // it has gone meanwhile
	}
	l = now
	switch {
	case errors.Is(err, syscall.EPERM):
		if impossible := whyNoDispatcher(all); impossible != nil && len(privilege.Missing()) == 0 {
			return impossible
		}
		return privilege.Explain(err)
	case errors.Is(err, syscall.EBUSY), errors.Is(err, syscall.EEXIST):
		return explainBusy(l, all, mode, err, said)
	}
	if refused := explainDriver(l, mode, err, said); refused != nil {
		return refused
	}
	if errors.Is(err, syscall.EOPNOTSUPP) || mode == xdp.ModeHW && errors.Is(err, syscall.EINVAL) {
		return explainUnsupported(l, all, mode, err, said)
	}
	return &xdp.Error{Kind: xdp.ErrSystem, Err: err,
		Msg:    fmt.Sprintf("can't attach to %s: %s", l.Name, native.Cause(err)),
		Remedy: "-v shows what libxdp says"}
}

func explainDetach(l device.Device, err error, said []string) error {
	var explained *xdp.Error
	switch {
	case err == nil, errors.As(err, &explained):
		return err
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return privilege.Explain(err)
	case errors.Is(err, syscall.EBUSY), errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EEXIST):
		if held := checkHeld(l); held != nil {
			return held
		}
		return lostRace(l, err)
	}
	return &xdp.Error{Kind: xdp.ErrSystem, Err: err,
		Msg:    fmt.Sprintf("can't unload from %s: %s", l.Name, native.Cause(err)),
		Remedy: strings.Join(said, "; ")}
}

// explainSwap finds the fault behind a failed step of a swap, as explainAttach does
// for libxdp.
func explainSwap(l device.Device, mode xdp.Mode, err error, said []string) error {
	var explained *xdp.Error
	if errors.As(err, &explained) || errors.Is(err, errLostRace) {
		return err
	}
	if errors.Is(err, syscall.ENODEV) {
		return device.NoInterface(l.Name, err)
	}
	return explainAttach(l, nil, mode, err, said)
}

func lostRace(l device.Device, err error) error {
	return &xdp.Error{Kind: xdp.ErrBusy, Err: err,
		Msg:    fmt.Sprintf("the chain on %s is being changed by others, and libxdp gave up", l.Name),
		Remedy: "try again"}
}
