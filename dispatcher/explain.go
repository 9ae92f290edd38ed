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
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
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

func modeMismatch(l device.Device, mode xdp.Mode) error {
	return &xdp.Error{Kind: xdp.ErrModeMismatch,
		Msg:    fmt.Sprintf("the chain on %s is attached in %s mode, so nothing can join it in %s mode", l.Name, l.Mode, mode),
		Remedy: fmt.Sprintf("use -m %s, or unload the chain first: unload -a %s", l.Mode, l.Name)}
}

// checkLegacy says whether the interface's main program is not a dispatcher.
func checkLegacy(l device.Device) error {
	if l.ProgID == 0 {
		return nil
	}
	fd, err := libbpf.ProgByID(l.ProgID)
	if err != nil {
		return nil // gone, or not ours to see: the attach itself will tell
	}
	defer fd.Close()
	info, err := libbpf.ProgInfoByFD(fd.Int())
	if err != nil || info.Name == protocol.DispatcherProgram {
		return nil
	}
	if held := checkHeld(l); held != nil {
		return held
	}
	return legacyInTheWay(l.Name, xdp.Loaded{ID: info.ID, Name: info.Name})
}

func legacyInTheWay(ifname string, program xdp.Loaded) error {
	return &xdp.Error{Kind: xdp.ErrLegacy,
		Msg:    fmt.Sprintf("%s has %s, attached without a dispatcher, and nothing can join that", ifname, program),
		Remedy: "to remove it: unload -a " + ifname}
}

func explainStatus(l device.Device, err error) error {
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return privilege.Explain(err)
	}
	return &xdp.Error{Kind: xdp.ErrSystem, Err: err, Msg: fmt.Sprintf("can't read the chain on %s: %s", l.Name, native.Cause(err)), Remedy: "-v shows what libxdp says"}
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
