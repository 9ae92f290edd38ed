package object

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Load loads the program to replace that function of a dispatcher; see [libbpf.Target]. It does
// nothing if the program is loaded already: then it can be linked to any dispatcher.
func (o *Program) Load(dispatcherFD int, function uint32) error {
	if o.Loaded {
		return nil
	}
	// Only a dispatcher has the flag: its programs get by that what it has.
	if err := o.Bpf.SetFlags(o.Bpf.Flags() &^ libbpf.FlagXDPHasFrags); err != nil {
		return explainObject(o.Called, err)
	}
	return o.load(o.explainLoad, 0, libbpf.Target{Program: o.Bpf, Type: libbpf.ProgTypeExt, FD: dispatcherFD, BTFID: function})
}

// LoadAlone loads the program to run without a dispatcher.
func (o *Program) LoadAlone() error {
	return o.load(func(err error) error { return err }, libbpf.AttachXDP)
}

// load loads the program and those that it calls, fills its maps and pins them. expected is the
// attach type that it is loaded for.
func (o *Program) load(explain func(error) error, expected libbpf.AttachType, targets ...libbpf.Target) error {
	if err := o.CheckMaps(); err != nil {
		return err
	}
	pin, err := o.Pins.hold()
	if err != nil {
		return err
	}
	if err := o.Obj.Load(targets...); err != nil {
		return explain(err)
	}
	o.Loaded = true
	if err := o.nameMaps(); err != nil {
		return err
	}
	if err := o.checkAnew(); err != nil {
		return err
	}
	if err := o.fill(); err != nil {
		return err
	}
	if err := o.fillArrays(expected); err != nil {
		return err
	}
	return pin()
}

// Reopen opens the object once more. libbpf loads an object only once, even if that failed.
func (o *Program) Reopen() error {
	o.Pins.Undo()                                    // libbpf takes its pins back, but not the directory that it has made
	again, err := Open(context.Background(), o.Spec) // it has the bytes, so nothing is waited for
	if err != nil {
		return err
	}
	again.Kept, again.uses = o.Kept, o.uses
	o.Close()
	*o = *again
	return o.reuseMaps()
}

// explainLoad tells a program that the verifier refuses from a kernel that can't
// run any in a dispatcher.
func (o *Program) explainLoad(err error) error {
	if refused := privilege.Denied(err); refused != nil {
		return refused
	}
	if fault := ExplainKernelFunctions(o, err); fault != nil {
		return fault
	}
	if fault := ExplainPinnedMaps(o, err); fault != nil {
		return fault
	}
	if probe := protocol.ProbeFreplace(); probe != nil {
		return probe
	}
	var explained error
	if log := o.Obj.VerifierLog(); log != "" && !errors.Is(err, syscall.EPERM) {
		explained = ExplainVerifier(o, log, err)
	} else {
		explained = (&xdp.Error{Kind: xdp.ErrSystem, Err: err,
			Msg: fmt.Sprintf("can't load program %q of %s: %s", o.Bpf.Name(), o.Called, native.Cause(err))}).
			Advise("%v", xdp.Hint{To: xdp.HintLibbpfLog})
	}
	if fault := explainProgramMaps(o, err); fault != nil {
		explained = fault
	}
	if errors.Is(err, syscall.EINVAL) {
		return CantHost{Err: explained}
	}
	return explained
}
