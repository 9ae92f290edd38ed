package object

import (
	"fmt"
	"strings"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// AsksForMetadata says that the program asks for metadata, as the beginning of an error.
func (o *Program) AsksForMetadata() string {
	return fmt.Sprintf("program %q of %s asks the driver for metadata (%s)", o.Bpf.Name(), o.Called, strings.Join(o.Metadata, ", "))
}

// CheckMetadata returns an error if the kernel lacks a function by which the program asks for
// metadata. Errors: [xdp.ErrKernel].
func (o *Program) CheckMetadata() error {
	if len(o.lacking) == 0 {
		return nil
	}
	return missingInKernel(o.Called, o.lacking, nil)
}

// BindTo has a program that asks for metadata loaded for the device of that index alone; 0: there
// is no device. It is for a program without a dispatcher: one of a chain is bound as its
// dispatcher is. Errors: [xdp.ErrKernel], [xdp.ErrModeNotSupported].
func (o *Program) BindTo(ifindex int) error {
	if len(o.Metadata) == 0 {
		return nil
	}
	if ifindex == 0 {
		return o.NoTestRun()
	}
	if err := o.CheckMetadata(); err != nil {
		return err
	}
	o.Bpf.SetIfindex(ifindex)
	return o.Bpf.SetFlags(o.Bpf.Flags() | libbpf.FlagXDPDevBoundOnly)
}

// NoTestRun is the error of a program that asks for metadata where a chain is to be test-run.
func (o *Program) NoTestRun() error {
	return &xdp.Error{Kind: xdp.ErrModeNotSupported, Msg: o.AsksForMetadata() + ", and the kernel test-runs no program that is bound to a device for that"}
}
