package dispatcher

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/cgo/libxdp"
)

// explainAttach finds the fault behind a failed attach. libxdp answers EBUSY,
// EINVAL and EPERM to several faults each, so it looks at the chain, the
// verifier's logs and at what libxdp said.
func explainAttach(l link, all []*opened, mode Mode, err error, said []string) error {
	for _, o := range all {
		if log := o.obj.VerifierLog(); log != "" && !errors.Is(err, syscall.EPERM) {
			return explainVerifier(o, log, err)
		}
	}
	for _, o := range all {
		if fault := explainKernelFunctions(o, err); fault != nil {
			return fault
		}
		if fault := explainPinnedMaps(o, err); fault != nil {
			return fault
		}
	}
	now, lookErr := l.again()
	if lookErr != nil {
		return lookErr // it has gone meanwhile
	}
	l = now
	switch {
	case errors.Is(err, syscall.EPERM):
		if impossible := whyNoDispatcher(all); impossible != nil && len(missingCapabilities()) == 0 {
			return impossible
		}
		return explainPermission(err)
	case errors.Is(err, syscall.EBUSY), errors.Is(err, syscall.EEXIST):
		return explainBusy(l, all, mode, err, said)
	}
	if refused := explainDriver(l, mode, err, said); refused != nil {
		return refused
	}
	if errors.Is(err, syscall.EOPNOTSUPP) || mode == ModeHW && errors.Is(err, syscall.EINVAL) {
		return explainUnsupported(l, all, mode, err, said)
	}
	return &Error{Kind: ErrSystem, Err: err,
		Msg:    fmt.Sprintf("can't attach to %s: %s", l.Name, cause(err)),
		Remedy: "-v shows what libxdp says"}
}

func explainVerifier(o *opened, log string, err error) error {
	cause := &libbpf.Error{Op: "bpf_object__load", Errno: syscall.EINVAL, Log: log}
	var e *libbpf.Error
	if errors.As(err, &e) {
		cause.Op, cause.Errno = e.Op, e.Errno
	}
	result := &Error{Kind: ErrVerifier, Err: cause,
		Msg: fmt.Sprintf("the verifier refused program %q of %s", o.bpf.Name(), o.spec.File)}
	if strings.Contains(log, "changes packet data, while original does not") {
		result.Msg = fmt.Sprintf("program %q of %s moves the packet's head or tail, and this kernel doesn't take that into a dispatcher of libxdp %s",
			o.bpf.Name(), o.spec.File, libxdp.BuildVersion)
		result.Remedy = "libxdp 1.5.5 and newer have a dispatcher for it; alone on the interface the program runs without one: " + envSkipDispatcher + "=1"
	}
	return result
}

func modeMismatch(l link, mode Mode) error {
	return &Error{Kind: ErrModeMismatch,
		Msg:    fmt.Sprintf("the chain on %s is attached in %s mode, so nothing can join it in %s mode", l.Name, l.mode, mode),
		Remedy: fmt.Sprintf("use -m %s, or unload the chain first: unload -a %s", l.mode, l.Name)}
}

// checkLegacy says whether the interface's main program is not a dispatcher.
func checkLegacy(l link) error {
	if l.progID == 0 {
		return nil
	}
	fd, err := libbpf.ProgByID(l.progID)
	if err != nil {
		return nil // gone, or not ours to see: the attach itself will tell
	}
	defer fd.Close()
	info, err := libbpf.ProgInfoByFD(fd.Int())
	if err != nil || info.Name == dispatcherProgram {
		return nil
	}
	if held := checkHeld(l); held != nil {
		return held
	}
	return legacyInTheWay(l.Name, Loaded{ID: info.ID, Name: info.Name})
}

func legacyInTheWay(ifname string, program Loaded) error {
	return &Error{Kind: ErrLegacy,
		Msg:    fmt.Sprintf("%s has %s, attached without a dispatcher, and nothing can join that", ifname, program),
		Remedy: "to remove it: unload -a " + ifname}
}

// explainPermission names the missing capability behind an EPERM; another error
// stays as it is.
func explainPermission(err error) error {
	if !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EACCES) {
		return err
	}
	e := &Error{Kind: ErrPermission, Err: err, Msg: "the kernel refused permission", Remedy: "-v shows what was refused"}
	if missing := missingCapabilities(); len(missing) > 0 {
		e.Msg = "permission denied: " + strings.Join(missing, ", ") + " missing"
		e.Remedy = capabilityRemedy()
	}
	return e
}

// denied is explainPermission where a capability is missing, and nil otherwise.
func denied(err error) error {
	if !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EACCES) || len(missingCapabilities()) == 0 {
		return nil
	}
	return explainPermission(err)
}

func explainStatus(l link, err error) error {
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return explainPermission(err)
	}
	return &Error{Kind: ErrSystem, Err: err, Msg: fmt.Sprintf("can't read the chain on %s: %s", l.Name, cause(err)), Remedy: "-v shows what libxdp says"}
}

func explainDetach(l link, err error, said []string) error {
	var explained *Error
	switch {
	case err == nil, errors.As(err, &explained):
		return err
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return explainPermission(err)
	case errors.Is(err, syscall.EBUSY), errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EEXIST):
		if held := checkHeld(l); held != nil {
			return held
		}
		return lostRace(l, err)
	}
	return &Error{Kind: ErrSystem, Err: err,
		Msg:    fmt.Sprintf("can't unload from %s: %s", l.Name, cause(err)),
		Remedy: strings.Join(said, "; ")}
}
